package asrgateway.client;

import asrgateway.v1.AudioEncoding;
import asrgateway.v1.DecodingConfig;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The samples of a WAV file with 16-bit PCM, which can be sent as LINEAR16.
 *
 * @param format of the samples
 * @param samples stands at the first one
 * @param sampleBytes how many follow
 */
public record WavFile(DecodingConfig format, InputStream samples, long sampleBytes) {

  private static final int PCM = 1;
  private static final int EXTENSIBLE = 0xFFFE;
  private static final long UNKNOWN = 0xFFFFFF00L;
  private static final int MOST_FORMAT_BYTES = 1 << 16;

  /**
   * Reads the header.
   *
   * @throws IOException it cannot be read, or is no such file; the message says why
   */
  public static WavFile read(InputStream file) throws IOException {
    var input = new DataInputStream(file);
    try {
      boolean isWav = name(input).equals("RIFF") && size(input) >= 0 && name(input).equals("WAVE");
      if (!isWav) {
        throw new IOException("it is not a WAV file");
      }
      return chunks(input);
    } catch (EOFException e) {
      throw new IOException("it ends inside its header", e);
    }
  }

  /** Describes 16-bit little-endian samples without a header. */
  public static DecodingConfig linear16(int sampleRateHertz, int channels) {
    return DecodingConfig.newBuilder()
        .setEncoding(AudioEncoding.AUDIO_ENCODING_LINEAR16)
        .setSampleRateHertz(sampleRateHertz)
        .setAudioChannelCount(channels)
        .build();
  }

  private static WavFile chunks(DataInputStream input) throws IOException {
    DecodingConfig format = null;
    while (true) {
      String name = name(input);
      long size = size(input);
      if (name.equals("data")) {
        if (format == null) {
          throw new IOException("its header has no format");
        }
        // A recorder that could not rewrite its header left 0 or the largest number there.
        return new WavFile(format, input, size == 0 || size >= UNKNOWN ? Long.MAX_VALUE : size);
      }
      if (name.equals("fmt ") && size >= 16 && size < MOST_FORMAT_BYTES) {
        var body = new byte[(int) (size + size % 2)];
        input.readFully(body);
        format = format(ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN));
      } else {
        input.skipNBytes(size + size % 2);
      }
    }
  }

  private static DecodingConfig format(ByteBuffer body) throws IOException {
    int tag = body.getShort(0) & 0xFFFF;
    if (tag == EXTENSIBLE && body.capacity() >= 26) {
      tag = body.getShort(24) & 0xFFFF;
    }
    if (tag != PCM || body.getShort(14) != 16) {
      throw new IOException("its samples are not 16-bit PCM");
    }
    return linear16(body.getInt(4), body.getShort(2));
  }

  private static String name(DataInputStream input) throws IOException {
    var name = new byte[4];
    input.readFully(name);
    return new String(name, StandardCharsets.ISO_8859_1);
  }

  private static long size(DataInputStream input) throws IOException {
    return Integer.toUnsignedLong(Integer.reverseBytes(input.readInt()));
  }
}
