//! The arguments of the command.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "usage: asr-client-rust [OPTION]... FILE...

Sends WAV files at speaking speed, all at the same time, and prints one line for each final result; with more than one
file it begins with the number of the file, from 0. The file - is raw 16-bit mono audio from standard input.

  --target HOST:PORT   the gateway; default: 127.0.0.1:50051
  --model M            the model, or an alias; default: the gateway's
  --language L         the language that is spoken, such as en-US
  --rate HZ            samples per second of raw audio; default: 16000
  --fast               send as fast as the gateway accepts it
  --timeout S          end the calls after so many seconds
  --tls                encrypt the connection
  --ca FILE            trust the authorities in this PEM file only; implies --tls
  --api-key-file FILE  read the key from this file; default: the variable ASR_API_KEY
  --no-reconnect       end with the first error of a gateway
  --help               print this
";

#[derive(Debug, Default, PartialEq)]
pub struct Arguments {
    pub target: String,
    pub model: String,
    pub language: Option<String>,
    pub rate: i32,
    pub is_fast: bool,
    pub timeout: Option<Duration>,
    pub is_encrypted: bool,
    pub ca: Option<PathBuf>,
    pub api_key_file: Option<PathBuf>,
    pub no_reconnect: bool,
    pub is_help: bool,
    pub files: Vec<String>,
}

/// Reads the arguments; the error says in a sentence why they cannot be used.
pub fn parse(given: impl IntoIterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed = Arguments {
        target: "127.0.0.1:50051".to_owned(),
        rate: 16_000,
        ..Default::default()
    };
    let mut given = given.into_iter();
    while let Some(argument) = given.next() {
        let (name, own) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value = || {
            own.clone()
                .or_else(|| given.next())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--target" => parsed.target = value()?,
            "--model" => parsed.model = value()?,
            "--language" => parsed.language = Some(value()?),
            "--rate" => parsed.rate = within(&value()?, 4000.0, 192_000.0, "--rate")? as i32,
            "--timeout" => {
                let seconds = within(&value()?, 0.001, 2e6, "--timeout")?;
                parsed.timeout = Some(Duration::from_secs_f64(seconds));
            }
            "--ca" => parsed.ca = Some(value()?.into()),
            "--api-key-file" => parsed.api_key_file = Some(value()?.into()),
            "--fast" => parsed.is_fast = true,
            "--tls" => parsed.is_encrypted = true,
            "--no-reconnect" => parsed.no_reconnect = true,
            "--help" | "-h" => parsed.is_help = true,
            option if option.starts_with('-') && option != "-" => return Err(format!("there is no option {option}")),
            _ => parsed.files.push(name),
        }
    }
    parsed.is_encrypted |= parsed.ca.is_some();
    if parsed.files.is_empty() && !parsed.is_help {
        return Err("name at least one file".to_owned());
    }
    Ok(parsed)
}

fn within(text: &str, least: f64, most: f64, name: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| format!("{name} is from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_may_follow_files() {
        let arguments = parsed("one.wav --fast - --model m").unwrap();
        assert_eq!(arguments.files, ["one.wav", "-"]);
        assert_eq!((arguments.is_fast, arguments.model.as_str()), (true, "m"));
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for line in ["", "--rate 3 -", "--timeout soon -", "--nothing -", "- --model"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
