//! The header of WAV files, so that their samples can be sent as LINEAR16.

use crate::v1::{AudioEncoding, DecodingConfig};
use std::io::{Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xFFFE;
/// A recorder that could not rewrite its header left 0 or about the largest number in place of the length.
const UNKNOWN_FROM: u32 = 0xFFFF_FF00;

/// Describes 16-bit little-endian samples without a header.
pub fn linear16(sample_rate_hertz: i32, channels: i32) -> DecodingConfig {
    DecodingConfig {
        encoding: AudioEncoding::Linear16.into(),
        sample_rate_hertz: Some(sample_rate_hertz),
        audio_channel_count: Some(channels),
        ..Default::default()
    }
}

/// Reads the header of a WAV stream with 16-bit PCM samples; returns the format, and a reader that has only the samples.
pub async fn read_wav<R: AsyncRead + Unpin>(mut source: R) -> Result<(DecodingConfig, impl AsyncRead + Unpin)> {
    let mut start = [0; 12];
    source
        .read_exact(&mut start)
        .await
        .map_err(|_| Error::other("it is not a WAV file"))?;
    if &start[..4] != b"RIFF" || &start[8..] != b"WAVE" {
        return Err(Error::other("it is not a WAV file"));
    }
    let mut format = None;
    loop {
        let mut name = [0; 4];
        source.read_exact(&mut name).await.map_err(short)?;
        let size = source.read_u32_le().await.map_err(short)?;
        if &name == b"data" {
            let is_unknown = size == 0 || size >= UNKNOWN_FROM;
            let samples = source.take(if is_unknown { u64::MAX } else { size.into() });
            return Ok((format.ok_or_else(|| Error::other("its header has no format"))?, samples));
        }
        let mut body = Vec::new();
        let padded = u64::from(size) + u64::from(size % 2);
        let mut chunk = (&mut source).take(padded);
        if &name == b"fmt " && size < 1 << 16 {
            chunk.read_to_end(&mut body).await?;
            format = Some(format_in(&body)?);
        } else if tokio::io::copy(&mut chunk, &mut tokio::io::sink()).await? < padded {
            return Err(Error::other("it ends inside its header"));
        }
    }
}

fn short(_: Error) -> Error {
    Error::other("it ends inside its header")
}

fn format_in(body: &[u8]) -> Result<DecodingConfig> {
    let number = |at: usize| {
        body.get(at..at + 2)
            .map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
    };
    let codec = if number(0) == EXTENSIBLE { number(24) } else { number(0) };
    if codec != PCM || number(14) != 16 {
        return Err(Error::other("its samples are not 16-bit PCM"));
    }
    let rate = i32::from(number(4)) | i32::from(number(6)) << 16;
    Ok(linear16(rate, number(2).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(tag: u16, bits: u16, length: u32) -> Vec<u8> {
        let fields = [tag, 2, 8000, 0, 0, 0, 4, bits].map(u16::to_le_bytes).concat();
        let odd_chunk = b"LIST\x03\0\0\0odd\0";
        let format = [&b"fmt \x10\0\0\0"[..], &fields].concat();
        [
            &b"RIFF....WAVE"[..],
            odd_chunk,
            &format,
            b"data",
            &length.to_le_bytes(),
            b"abcdef",
        ]
        .concat()
    }

    async fn samples(file: &[u8]) -> Result<(DecodingConfig, Vec<u8>)> {
        let (format, mut reader) = read_wav(file).await?;
        let mut samples = Vec::new();
        reader.read_to_end(&mut samples).await?;
        Ok((format, samples))
    }

    #[tokio::test]
    async fn the_header_has_rate_and_channels_and_the_samples_follow() {
        let read = samples(&wav(PCM, 16, 4)).await.unwrap();
        assert_eq!(read, (linear16(8000, 2), b"abcd".to_vec()));
    }

    #[tokio::test]
    async fn the_length_of_a_stream_is_not_known() {
        assert_eq!(samples(&wav(PCM, 16, u32::MAX)).await.unwrap().1, b"abcdef");
    }

    #[tokio::test]
    async fn other_audio_is_refused() {
        for file in [
            wav(85, 16, 4),
            wav(PCM, 8, 4),
            b"RIFF....WAVEfmt".to_vec(),
            b"text".to_vec(),
        ] {
            assert!(samples(&file).await.is_err());
        }
    }
}
