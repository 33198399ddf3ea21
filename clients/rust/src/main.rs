//! The command `asr-client-rust`: sends recordings to the gateway and prints the text.

mod arguments;
mod report;

use arguments::{parse, Arguments, USAGE};
use asrgateway::v1::{DecodingConfig, StreamingConfig};
use asrgateway::{linear16, read_wav, Client, Options, Sender};
use report::{CallReport, Report, Times};
use std::io::{Error, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::signal::unix::{signal, SignalKind};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, Instant};

const OK: i32 = 0;
const FAILED: i32 = 1;
const UNUSABLE: i32 = 2;
const INTERRUPTED: i32 = 130;

const MESSAGES_PER_SECOND: i32 = 10;

type Audio = Box<dyn AsyncRead + Unpin + Send>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(run());
    // Standard input may still be open, and would keep the runtime.
    std::process::exit(code)
}

async fn run() -> i32 {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            Report::new(0).complain(&format!("{reason}; --help lists the options"));
            return UNUSABLE;
        }
    };
    if arguments.is_help {
        print!("{USAGE}");
        return OK;
    }
    let report = Report::new(arguments.files.len());
    match open(&arguments, &report).await {
        Ok((client, recordings)) => recognize_all(&client, Arc::new(arguments), recordings, &report).await,
        Err(reason) => {
            report.complain(&reason);
            UNUSABLE
        }
    }
}

async fn open(arguments: &Arguments, report: &Arc<Report>) -> std::result::Result<(Client, Vec<Recording>), String> {
    let mut recordings = Vec::new();
    for name in &arguments.files {
        let opened = open_recording(name, arguments.rate).await;
        recordings.push(opened.map_err(|error| format!("{name}: {error}"))?);
    }
    let warnings = report.clone();
    let options = Options {
        api_key: key(arguments)?,
        is_encrypted: arguments.is_encrypted,
        ca: arguments.ca.as_deref().map(content).transpose()?,
        reconnect: !arguments.no_reconnect,
        on_retry: Some(Arc::new(move |failure, delay| {
            let seconds = delay.as_secs_f64();
            warnings.note(&format!("warning: {failure}; trying again in {seconds:.1} s"));
        })),
        ..Options::default()
    };
    let client = Client::new(&arguments.target, options).map_err(|error| error.message)?;
    Ok((client, recordings))
}

/// Audio that can be sent.
struct Recording {
    format: DecodingConfig,
    audio: Audio,
}

async fn open_recording(name: &str, rate: i32) -> Result<Recording> {
    if name == "-" {
        let audio = Box::new(tokio::io::stdin());
        let format = linear16(rate, 1);
        return Ok(Recording { format, audio });
    }
    let (format, samples) = read_wav(BufReader::new(tokio::fs::File::open(name).await?)).await?;
    let audio = Box::new(samples);
    Ok(Recording { format, audio })
}

fn content(path: &Path) -> std::result::Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn key(arguments: &Arguments) -> std::result::Result<Option<String>, String> {
    let Some(path) = &arguments.api_key_file else {
        return Ok(std::env::var("ASR_API_KEY").ok().filter(|key| !key.is_empty()));
    };
    let key = String::from_utf8_lossy(&content(path)?).trim().to_owned();
    Ok(Some(key))
}

/// Runs one call for each recording and returns the exit code; a signal cancels all of them.
async fn recognize_all(
    client: &Client,
    arguments: Arc<Arguments>,
    recordings: Vec<Recording>,
    report: &Arc<Report>,
) -> i32 {
    let mut calls = JoinSet::new();
    for (number, recording) in recordings.into_iter().enumerate() {
        let (client, arguments, report) = (client.clone(), arguments.clone(), report.call(number));
        calls.spawn(async move { recognize(&client, &arguments, recording, report).await });
    }
    let all = async {
        let mut is_ok = true;
        while let Some(ended) = calls.join_next().await {
            is_ok &= ended.unwrap_or(false);
        }
        if is_ok {
            OK
        } else {
            FAILED
        }
    };
    let code = tokio::select! {
        code = all => code,
        () = interrupted() => INTERRUPTED,
    };
    calls.shutdown().await;
    report.interim("");
    code
}

async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => std::future::pending().await,
    }
}

/// Runs one call and says whether it ended well.
async fn recognize(client: &Client, arguments: &Arguments, recording: Recording, mut report: CallReport) -> bool {
    let config = StreamingConfig {
        model: arguments.model.clone(),
        decoding_config: Some(recording.format),
        language_codes: arguments.language.clone().into_iter().collect(),
        interim_results: true,
        ..Default::default()
    };
    let (sender, mut call) = client.recognize(config, arguments.timeout);
    let times = report.times.clone();
    let received = async {
        while let Some(response) = call.message().await? {
            report.received(response);
        }
        Ok(())
    };
    let ended: std::result::Result<(), asrgateway::Error> = tokio::select! {
        ended = received => ended,
        error = unreadable(sender, recording.audio, size_of(&recording.format), arguments.is_fast, times) => {
            report.complain(&error.to_string());
            return false;
        }
    };
    if let Err(error) = &ended {
        report.failed(error);
    }
    ended.is_ok()
}

/// Bytes of one message.
fn size_of(format: &DecodingConfig) -> u64 {
    let samples = format.sample_rate_hertz.unwrap_or_default() / MESSAGES_PER_SECOND;
    let frame = 2 * format.audio_channel_count.unwrap_or(1);
    (samples.max(1) * frame).unsigned_abs().into()
}

/// Sends a recording; returns only if it cannot be read.
async fn unreadable(sender: Sender, audio: Audio, size: u64, is_fast: bool, times: Arc<Mutex<Times>>) -> Error {
    match send(sender, audio, size, is_fast, times).await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// Sends a recording, message n at n tenths of a second after the first one.
async fn send(mut sender: Sender, mut audio: Audio, size: u64, is_fast: bool, times: Arc<Mutex<Times>>) -> Result<()> {
    let interval = Duration::from_secs(1) / MESSAGES_PER_SECOND.unsigned_abs();
    let mut next = Instant::now();
    loop {
        let mut message = Vec::with_capacity(size as usize);
        (&mut audio).take(size).read_to_end(&mut message).await?;
        if message.is_empty() {
            break;
        }
        if !is_fast {
            sleep_until(next).await;
            next += interval;
        }
        let now = std::time::Instant::now();
        times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .begin
            .get_or_insert(now);
        if !sender.send(message).await {
            break;
        }
    }
    times.lock().unwrap_or_else(PoisonError::into_inner).end = Some(std::time::Instant::now());
    Ok(())
}
