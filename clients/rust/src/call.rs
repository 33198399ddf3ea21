//! One recognition, which a new call of the gateway continues when the old one is lost.

use crate::kept::{milliseconds, Format, Kept};
use crate::v1::recognize_request::Request;
use crate::v1::recognize_response::Response;
use crate::v1::{
    AudioEncoding, Commit, ConfigUpdate, RecognitionResult, RecognizeRequest, RecognizeResponse, Resume,
    StreamEventType, StreamingConfig,
};
use crate::{Client, Code, Error};
use prost::bytes::Bytes;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout_at, Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Half of the gateway's default limit.
const MAX_AUDIO_BYTES: usize = 1 << 20;
const MIN_ROOM_BYTES: u64 = 1 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

struct State {
    kept: Kept,
    /// The program has sent everything.
    is_closed: bool,
}

/// What both ends of a call share.
struct Shared {
    state: Mutex<State>,
    /// There is something to send, or room for more, or the end.
    changed: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.changed.send_replace(());
    }
}

/// Takes the audio of a call; dropping it says that everything is sent.
pub struct Sender {
    shared: Arc<Shared>,
    room: u64,
    is_ended: watch::Receiver<bool>,
}

impl Sender {
    /// Sends audio, in pieces of any size, and waits while a minute of audio is waiting already. Returns false after the
    /// end of the call.
    pub async fn send(&mut self, audio: impl Into<Bytes>) -> bool {
        let mut audio = audio.into();
        while audio.len() > MAX_AUDIO_BYTES {
            if !self.add(Request::Audio(audio.split_to(MAX_AUDIO_BYTES))).await {
                return false;
            }
        }
        self.add(Request::Audio(audio)).await
    }

    /// Ends the open utterance now.
    pub async fn commit(&mut self) -> bool {
        self.add(Request::Commit(Commit {})).await
    }

    /// Replaces the adaptation for the audio that follows.
    pub async fn update(&mut self, update: ConfigUpdate) -> bool {
        self.add(Request::Update(update)).await
    }

    async fn add(&mut self, request: Request) -> bool {
        let mut changed = self.shared.changed.subscribe();
        while self.shared.lock().kept.unsent >= self.room {
            tokio::select! {
                _ = changed.changed() => {}
                _ = self.is_ended.changed() => return false,
            }
        }
        if self.is_ended.has_changed().is_err() {
            return false;
        }
        self.shared.lock().kept.add(request);
        self.shared.notify();
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.notify();
    }
}

/// One call of the gateway.
struct Attempt {
    responses: Option<Streaming<RecognizeResponse>>,
    requests: JoinHandle<()>,
    is_going: bool,
    is_leaving: bool,
    is_finished: bool,
    /// When to end it: it is going away, or does not answer.
    end: Option<Instant>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.requests.abort();
    }
}

/// Yields the responses of a call; dropping it cancels the call.
///
/// When a call of the gateway is lost, or the gateway is going away, a new one continues it: audio without a final
/// result is sent again, a second `started` arrives, and offsets and indexes go on. Only LINEAR16 is continued.
pub struct Call {
    client: Client,
    config: StreamingConfig,
    shared: Arc<Shared>,
    format: Format,
    is_continued: bool,
    deadline: Option<Instant>,
    resume: Resume,
    attempt: Option<Attempt>,
    attempts: u32,
    /// Since the last response.
    failures: u32,
    failing: Option<(Instant, Error)>,
    /// Its drop ends the sender.
    _is_ended: watch::Sender<bool>,
}

impl Call {
    pub(crate) fn new(client: Client, config: StreamingConfig, timeout: Option<Duration>) -> (Sender, Self) {
        let encoding = config.decoding_config.as_ref().map_or(0, |decoding| decoding.encoding);
        let is_continued = client.options.reconnect && encoding <= AudioEncoding::Linear16.into();
        let format = Format::new(config.decoding_config.as_ref());
        let keep_ms = client.options.keep.as_millis() as u64;
        let limit = if is_continued { format.bytes(keep_ms) } else { 0 };
        let resume = config.resume.clone().unwrap_or_default();
        let kept = Kept::new(format, limit, format.place(resume.audio_offset.as_ref()));
        let shared = Arc::new(Shared {
            state: Mutex::new(State { kept, is_closed: false }),
            changed: watch::Sender::new(()),
        });
        let (is_ended, end) = watch::channel(false);
        let sender = Sender {
            shared: shared.clone(),
            room: limit.max(MIN_ROOM_BYTES),
            is_ended: end,
        };
        let call = Self {
            client,
            config,
            shared,
            format,
            is_continued,
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            resume,
            attempt: None,
            attempts: 0,
            failures: 0,
            failing: None,
            _is_ended: is_ended,
        };
        (sender, call)
    }

    /// Returns the next response, or none after the last one.
    pub async fn message(&mut self) -> Result<Option<RecognizeResponse>, Error> {
        let Some(deadline) = self.deadline else {
            return self.next().await;
        };
        let expired = Error::new(Code::DeadlineExceeded, "the call took longer than its timeout");
        match timeout_at(deadline, self.next()).await {
            Ok(Err(_)) | Err(_) if Instant::now() >= deadline => Err(expired),
            Ok(received) => received,
            Err(_) => Err(expired),
        }
    }

    async fn next(&mut self) -> Result<Option<RecognizeResponse>, Error> {
        loop {
            match self.receive().await {
                Ok(Some(response)) => {
                    self.note(&response);
                    return Ok(Some(response));
                }
                Ok(None) if self.attempt.as_ref().is_some_and(|attempt| attempt.is_finished) => return Ok(None),
                Ok(None) => self.after_end(Error::lost()).await?,
                Err(failure) => self.after_end(failure).await?,
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<RecognizeResponse>, Error> {
        let end = self
            .failing
            .as_ref()
            .map(|(since, _)| *since + self.client.options.give_up);
        // An attempt without responses was given up while it opened: the program dropped `message`.
        if self.attempt.as_ref().is_none_or(|attempt| attempt.responses.is_none()) {
            let (requests, receiver) = mpsc::channel(1);
            let first = self.next_config();
            self.attempt = Some(Attempt {
                responses: None,
                requests: tokio::spawn(send_requests(self.shared.clone(), first, requests)),
                is_going: false,
                is_leaving: false,
                is_finished: false,
                end,
            });
            let mut request = self.client.request(ReceiverStream::new(receiver));
            if let Some(deadline) = self.deadline {
                request.set_timeout(deadline - Instant::now());
            }
            let mut stub = self.client.stub.clone();
            let opening = stub.recognize(request);
            let opened = timeout_at(end.unwrap_or_else(|| Instant::now() + FOREVER), opening).await;
            let responses = opened.map_err(|_| Error::lost())??.into_inner();
            if let Some(attempt) = &mut self.attempt {
                attempt.responses = Some(responses);
            }
        }
        let Some(attempt) = &mut self.attempt else {
            return Err(Error::lost());
        };
        let Some(responses) = attempt.responses.as_mut().filter(|_| !attempt.is_leaving) else {
            return Err(Error::lost());
        };
        let Some(end) = attempt.end else {
            return Ok(responses.message().await?);
        };
        if let Ok(received) = timeout_at(end, responses.message()).await {
            return Ok(received?);
        }
        attempt.end = None;
        // A call that has sent everything ends by itself in time.
        if attempt.is_going && self.shared.lock().is_closed {
            return Ok(responses.message().await?);
        }
        attempt.is_leaving = true;
        Err(Error::lost())
    }

    /// The configuration of the next attempt, which begins with the first kept item.
    fn next_config(&mut self) -> Request {
        let mut config = self.config.clone();
        self.attempts += 1;
        if self.attempts > 1 {
            let mut state = self.shared.lock();
            state.kept.rewind();
            config.resume = Some(resume_at(&self.format.time(state.kept.begin), &self.resume));
            config.adaptation = state.kept.adaptation.clone().or(config.adaptation);
        }
        Request::StreamingConfig(Box::new(config))
    }

    /// Lets go of what a response has made final.
    fn note(&mut self, response: &RecognizeResponse) {
        let Some(attempt) = &mut self.attempt else { return };
        if self.failing.take().is_some() {
            self.failures = 0;
            attempt.end = None;
        }
        let mut state = self.shared.lock();
        if let Some(cursor) = &response.cursor {
            state.kept.release(self.format.place(cursor.finalized.as_ref()));
            if !cursor.channel_finalized.is_empty() {
                self.resume.channel_offsets.clone_from(&cursor.channel_finalized);
            }
        }
        match &response.response {
            Some(Response::Started(started)) => self.resume.call_id.clone_from(&started.call_id),
            Some(Response::Result(result)) if result.is_final => {
                note_final(result, &mut self.resume, &mut state);
                attempt.is_leaving = attempt.is_going && !state.is_closed;
            }
            Some(Response::StreamEvent(event)) => match event.event_type() {
                StreamEventType::CommitEmpty => state.kept.answered(event.channel()),
                StreamEventType::ChannelFailed => state.kept.failed(event.channel()),
                _ => {}
            },
            Some(Response::GoingAway(going)) if self.is_continued && !state.is_closed => {
                let deadline_ms = going.deadline.as_ref().map_or(0, milliseconds);
                attempt.is_going = true;
                attempt.end = Some(Instant::now() + Duration::from_millis(deadline_ms / 2));
            }
            Some(Response::Finished(_)) => attempt.is_finished = true,
            _ => {}
        }
    }

    /// Returns when it is time for a new attempt, or the end of the call.
    async fn after_end(&mut self, failure: Error) -> Result<(), Error> {
        let ended = self.attempt.take();
        if ended.is_some_and(|attempt| attempt.is_leaving && attempt.is_going) {
            return Ok(());
        }
        if !self.is_continued || !failure.is_retryable() {
            return Err(failure);
        }
        self.wait(failure).await
    }

    /// Waits before the next attempt, or returns the failure when it is too late for one.
    async fn wait(&mut self, failure: Error) -> Result<(), Error> {
        let now = Instant::now();
        let (since, last) = self.failing.take().unwrap_or_else(|| (now, failure.clone()));
        let left = (since + self.client.options.give_up).saturating_duration_since(now);
        let delay = wait_after(self.failures, failure.retry_after, random());
        if delay > left {
            return Err(if left.is_zero() { last } else { failure });
        }
        if let Some(on_retry) = &self.client.options.on_retry {
            on_retry(&failure, delay);
        }
        self.failures += 1;
        self.failing = Some((since, failure));
        sleep(delay).await;
        Ok(())
    }
}

fn note_final(result: &RecognitionResult, resume: &mut Resume, state: &mut State) {
    resume.next_result_index = resume.next_result_index.max(result.result_index + 1);
    if result.forced {
        state.kept.answered(result.channel());
    }
}

/// The same place in each channel, but none before the audio that is kept.
fn resume_at(begin: &prost_types::Duration, resume: &Resume) -> Resume {
    let latest = |offset: &prost_types::Duration| *std::cmp::max_by_key(offset, begin, |offset| milliseconds(offset));
    Resume {
        audio_offset: Some(*begin),
        channel_offsets: resume.channel_offsets.iter().map(latest).collect(),
        ..resume.clone()
    }
}

/// Sends the configuration and then what is kept, as fast as flow control lets it.
async fn send_requests(shared: Arc<Shared>, first: Request, requests: mpsc::Sender<RecognizeRequest>) {
    let mut changed = shared.changed.subscribe();
    let mut next = Some(first);
    loop {
        if let Some(request) = next {
            let request = Some(request);
            if requests.send(RecognizeRequest { request }).await.is_err() {
                return;
            }
        } else if changed.changed().await.is_err() {
            return;
        }
        // Without room in the channel nothing is taken, so that what is taken is on its way.
        let Ok(_room) = requests.reserve().await else { return };
        changed.mark_unchanged();
        let mut state = shared.lock();
        next = state.kept.take();
        if next.is_none() && state.is_closed {
            return;
        }
        drop(state);
        if next.is_some() {
            shared.changed.send_if_modified(|()| true);
            changed.mark_unchanged();
        }
    }
}

/// How long to wait after so many failures before this one, with a random part from 0 to 1.
fn wait_after(failures: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let delay = LONGEST_WAIT.min(FIRST_WAIT * 2_u32.pow(failures.min(10)));
    delay.mul_f64(0.5 + random / 2.0).max(retry_after.unwrap_or_default())
}

/// A number from 0 to 1, good enough to keep clients apart.
fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod channels_test;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_half_of_each_is_random() {
        let waits = |random| [0, 1, 2, 20].map(|failures| wait_after(failures, None, random).as_millis());
        assert_eq!(waits(0.0), [50, 100, 200, 2500]);
        assert_eq!(waits(1.0), [100, 200, 400, 5000]);
    }

    #[test]
    fn a_wait_is_never_shorter_than_the_gateway_asks_for() {
        let asked = Duration::from_secs(7);
        assert_eq!(wait_after(0, Some(asked), 0.0), asked);
    }
}
