//! What a call keeps, to be sent again in a new call.

use crate::v1::recognize_request::Request;
use crate::v1::{ChannelMode, DecodingConfig, SpeechAdaptation};
use prost_types::Duration;
use std::collections::VecDeque;

/// Turns times into bytes of audio, and back.
#[derive(Clone, Copy)]
pub struct Format {
    rate: u64,
    pub frame_bytes: u64,
    /// Those that give results, and answers to commits, by themselves.
    recognized: Channels,
}

/// A set of channels, one bit each.
type Channels = u64;

fn channel(number: i32) -> Channels {
    1_u64.checked_shl(number.unsigned_abs()).unwrap_or_default()
}

impl Format {
    pub fn new(config: Option<&DecodingConfig>) -> Self {
        let positive = |value: Option<i32>| value.unwrap_or(1).max(1).unsigned_abs().into();
        let rate = positive(config.and_then(|config| config.sample_rate_hertz));
        let channels: u64 = positive(config.and_then(|config| config.audio_channel_count));
        let is_separate = config.is_some_and(|config| config.channel_mode() == ChannelMode::Separate);
        Self {
            rate,
            frame_bytes: 2 * channels,
            recognized: (1 << if is_separate { channels.min(63) } else { 1 }) - 1,
        }
    }

    pub fn bytes(&self, milliseconds: u64) -> u64 {
        milliseconds * self.rate / 1000 * self.frame_bytes
    }

    /// Where the audio of a time begins, in bytes.
    pub fn place(&self, at: Option<&Duration>) -> u64 {
        self.bytes(at.map_or(0, milliseconds))
    }

    /// The reverse of `place`; the gateway counts whole milliseconds.
    pub fn time(&self, place: u64) -> Duration {
        let milliseconds = (place / self.frame_bytes * 1000).div_ceil(self.rate);
        Duration {
            seconds: (milliseconds / 1000) as i64,
            nanos: (milliseconds % 1000) as i32 * 1_000_000,
        }
    }
}

pub fn milliseconds(duration: &Duration) -> u64 {
    (duration.seconds.max(0) * 1000 + i64::from(duration.nanos) / 1_000_000).unsigned_abs()
}

/// A request after the configuration, and where it belongs in the audio, in bytes.
struct Item {
    request: Request,
    begin: u64,
    /// The channels that have answered this commit.
    answers: Channels,
}

impl Item {
    fn is_commit(&self) -> bool {
        matches!(self.request, Request::Commit(_))
    }
}

/// What a new call has to send again, and behind it what has not been sent yet.
pub struct Kept {
    format: Format,
    limit: u64,
    items: VecDeque<Item>,
    /// Index of the first item that the present call has not sent.
    next: usize,
    /// Place of the first audio that is kept.
    pub begin: u64,
    /// Bytes of audio before and from `next`.
    sent: u64,
    pub unsent: u64,
    /// The channels that answer no commits in the present call.
    failed: Channels,
    /// Of the last update before the items.
    pub adaptation: Option<SpeechAdaptation>,
}

impl Kept {
    /// `limit`: bytes of audio to keep once they are sent. `begin`: place of the first audio.
    pub fn new(format: Format, limit: u64, begin: u64) -> Self {
        Self {
            format,
            limit,
            items: VecDeque::new(),
            next: 0,
            begin,
            sent: 0,
            unsent: 0,
            failed: 0,
            adaptation: None,
        }
    }

    /// Puts a request behind all others.
    pub fn add(&mut self, request: Request) {
        let begin = self.begin + self.sent + self.unsent;
        self.unsent += audio_bytes(&request);
        self.items.push_back(Item {
            request,
            begin,
            answers: 0,
        });
    }

    /// The next request to send; none when all are sent.
    pub fn take(&mut self) -> Option<Request> {
        let request = self.items.get(self.next)?.request.clone();
        let bytes = audio_bytes(&request);
        self.next += 1;
        self.sent += bytes;
        self.unsent -= bytes;
        let frames = self.sent.saturating_sub(self.limit).div_ceil(self.format.frame_bytes);
        self.release(self.begin + frames * self.format.frame_bytes);
        Some(request)
    }

    /// Makes `take` begin with the first item again, for a call in which every channel answers every commit.
    pub fn rewind(&mut self) {
        self.items.iter_mut().for_each(|item| item.answers = 0);
        self.failed = 0;
        self.next = 0;
        self.unsent += self.sent;
        self.sent = 0;
    }

    /// Drops sent audio that lies before a place, and the updates before what is left.
    pub fn release(&mut self, place: u64) {
        let end = place.min(self.begin + self.sent);
        if end <= self.begin {
            return;
        }
        self.sent -= end - self.begin;
        self.begin = end;
        let mut left = VecDeque::with_capacity(self.items.len());
        let mut next = 0;
        for (index, item) in std::mem::take(&mut self.items).into_iter().enumerate() {
            let is_sent = index < self.next;
            if let Some(rest) = self.rest(item, is_sent && left.is_empty()) {
                left.push_back(rest);
                next += usize::from(is_sent);
            }
        }
        self.items = left;
        self.next = next;
    }

    /// Notes an answer to the oldest sent commit that the channel has not answered yet.
    pub fn answered(&mut self, by: i32) {
        let by = channel(by);
        let mut sent = self.items.iter_mut().take(self.next);
        if let Some(commit) = sent.find(|item| item.is_commit() && item.answers & by == 0) {
            commit.answers |= by;
        }
        self.drop_answered();
    }

    /// Notes that no answers of a channel will come.
    pub fn failed(&mut self, number: i32) {
        self.failed |= channel(number);
        self.drop_answered();
    }

    /// Drops the sent commits that have the answers of all channels but those that have failed.
    fn drop_answered(&mut self) {
        let awaited = self.format.recognized & !self.failed;
        if awaited == 0 {
            return;
        }
        let unsent = self.items.split_off(self.next);
        self.items
            .retain(|item| !item.is_commit() || item.answers & awaited != awaited);
        self.next = self.items.len();
        self.items.extend(unsent);
    }

    /// What is left of an item after `begin` has moved.
    fn rest(&mut self, item: Item, is_first: bool) -> Option<Item> {
        match item.request {
            Request::Update(update) if is_first => {
                self.adaptation = Some(update.adaptation.unwrap_or_default());
                None
            }
            Request::Audio(audio) if item.begin < self.begin => {
                let dropped = (self.begin - item.begin) as usize;
                (dropped < audio.len()).then(|| Item {
                    request: Request::Audio(audio.slice(dropped..)),
                    begin: self.begin,
                    ..item
                })
            }
            request => Some(Item { request, ..item }),
        }
    }
}

fn audio_bytes(request: &Request) -> u64 {
    match request {
        Request::Audio(audio) => audio.len() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Commit, ConfigUpdate};
    use crate::wav::linear16;

    /// One sample is one millisecond, and two bytes.
    fn format() -> Format {
        Format::new(Some(&linear16(1000, 1)))
    }

    fn audio(bytes: &'static [u8]) -> Request {
        Request::Audio(prost::bytes::Bytes::from_static(bytes))
    }

    fn commit() -> Request {
        Request::Commit(Commit {})
    }

    fn update(context: &str) -> Request {
        let context = context.to_owned();
        let adaptation = Some(SpeechAdaptation {
            context,
            ..Default::default()
        });
        Request::Update(ConfigUpdate { adaptation })
    }

    fn kept(limit: u64, requests: impl IntoIterator<Item = Request>) -> Kept {
        let mut kept = Kept::new(format(), limit, 0);
        requests.into_iter().for_each(|request| kept.add(request));
        kept
    }

    fn take_all(kept: &mut Kept) -> Vec<Request> {
        std::iter::from_fn(|| kept.take()).collect()
    }

    /// What a new call sends.
    fn again(kept: &mut Kept) -> Vec<Request> {
        kept.rewind();
        take_all(kept)
    }

    #[test]
    fn a_new_call_sends_everything_that_is_not_final_again() {
        let mut kept = kept(100, [audio(b"ab"), commit(), audio(b"cd")]);
        assert_eq!(take_all(&mut kept), [audio(b"ab"), commit(), audio(b"cd")]);
        assert_eq!(again(&mut kept), [audio(b"ab"), commit(), audio(b"cd")]);
    }

    #[test]
    fn audio_before_a_final_result_is_let_go_inside_a_message_too() {
        let mut kept = kept(100, [audio(b"ab"), audio(b"cdef"), audio(b"gh")]);
        take_all(&mut kept);
        kept.release(4);
        assert_eq!(kept.begin, 4);
        assert_eq!(again(&mut kept), [audio(b"ef"), audio(b"gh")]);
    }

    #[test]
    fn audio_that_is_not_sent_yet_is_never_let_go() {
        let mut kept = kept(100, [audio(b"ab"), audio(b"cd")]);
        kept.take();
        kept.release(4);
        assert_eq!(again(&mut kept), [audio(b"cd")]);
    }

    #[test]
    fn the_oldest_audio_is_dropped_beyond_the_limit_by_whole_samples() {
        let mut kept = kept(3, [audio(b"ab"), audio(b"cd")]);
        take_all(&mut kept);
        assert_eq!(again(&mut kept), [audio(b"cd")]);
    }

    #[test]
    fn a_commit_stays_until_it_is_answered() {
        let mut kept = kept(100, [audio(b"ab"), commit()]);
        kept.answered(0);
        take_all(&mut kept);
        kept.release(2);
        assert_eq!(again(&mut kept), [commit()]);
        kept.answered(0);
        assert_eq!(again(&mut kept), []);
    }

    #[test]
    fn the_adaptation_of_an_update_stays_when_the_update_is_let_go() {
        let mut kept = kept(100, [audio(b"ab"), update("birds"), audio(b"cd"), update("trees")]);
        take_all(&mut kept);
        kept.release(2);
        assert_eq!(kept.adaptation.as_ref().unwrap().context, "birds");
        assert_eq!(again(&mut kept), [audio(b"cd"), update("trees")]);
    }

    #[test]
    fn times_and_places_agree_at_rates_that_are_no_multiple_of_a_millisecond() {
        let format = Format::new(Some(&linear16(44_100, 2)));
        for time in [0, 1, 7, 999, 59_999] {
            assert_eq!(milliseconds(&format.time(format.bytes(time))), time);
        }
    }
}
