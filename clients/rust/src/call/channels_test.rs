//! A call whose two channels are recognised by themselves.

use super::*;
use crate::v1::{ChannelMode, Cursor, DecodingConfig, StreamEvent};
use crate::{linear16, Options};

/// Both ends of a call that has sent these requests; a sample of both channels is one millisecond, and 100 ms are kept.
fn sent(requests: impl IntoIterator<Item = Request>) -> (Sender, Call) {
    let options = Options {
        keep: Duration::from_millis(100),
        ..Options::default()
    };
    let decoding_config = Some(DecodingConfig {
        channel_mode: ChannelMode::Separate.into(),
        ..linear16(1000, 2)
    });
    let config = StreamingConfig {
        decoding_config,
        ..StreamingConfig::default()
    };
    let client = Client::new("127.0.0.1:1", options).unwrap();
    let (sender, mut call) = client.recognize(config, None);
    call.next_config();
    call.attempt = Some(Attempt {
        responses: None,
        requests: tokio::spawn(async {}),
        is_going: false,
        is_leaving: false,
        is_finished: false,
        end: None,
    });
    requests.into_iter().for_each(|request| send(&call, request));
    (sender, call)
}

fn send(call: &Call, request: Request) {
    let kept = &mut call.shared.lock().kept;
    kept.add(request);
    kept.take();
}

fn audio(milliseconds: usize) -> Request {
    Request::Audio(vec![0; 4 * milliseconds].into())
}

fn commit() -> Request {
    Request::Commit(Commit {})
}

fn response(response: Response) -> RecognizeResponse {
    RecognizeResponse {
        response: Some(response),
        ..RecognizeResponse::default()
    }
}

fn forced(channel: i32) -> RecognizeResponse {
    response(Response::Result(RecognitionResult {
        is_final: true,
        forced: true,
        channel: Some(channel),
        ..RecognitionResult::default()
    }))
}

fn event(kind: StreamEventType, channel: i32) -> RecognizeResponse {
    response(Response::StreamEvent(StreamEvent {
        event_type: kind.into(),
        channel: Some(channel),
        ..StreamEvent::default()
    }))
}

fn empty(channel: i32) -> RecognizeResponse {
    event(StreamEventType::CommitEmpty, channel)
}

fn failed(channel: i32) -> RecognizeResponse {
    event(StreamEventType::ChannelFailed, channel)
}

/// How many commits a new call would send.
fn commits_again(call: &Call) -> usize {
    let kept = &mut call.shared.lock().kept;
    kept.rewind();
    std::iter::from_fn(|| kept.take())
        .filter(|request| matches!(request, Request::Commit(_)))
        .count()
}

#[tokio::test]
async fn a_commit_stays_until_every_channel_has_answered_it() {
    for (left, answers) in [
        (2, vec![forced(0)]),
        (2, vec![forced(0), empty(0)]),
        (1, vec![forced(0), empty(1)]),
        (1, vec![forced(0), forced(0), forced(0), empty(1)]),
        (0, vec![forced(0), forced(0), empty(1), empty(1)]),
        (1, vec![forced(0), failed(1)]),
        (0, vec![forced(0), forced(0), failed(1)]),
        (1, vec![failed(1), forced(0)]),
        (2, vec![failed(0), failed(1)]),
    ] {
        let (_sender, mut call) = sent([audio(50), commit(), commit()]);
        answers.iter().for_each(|answer| call.note(answer));
        assert_eq!(commits_again(&call), left, "{answers:?}");
    }
}

#[tokio::test]
async fn an_answer_is_only_for_commits_that_were_sent_before_it() {
    let (_sender, mut call) = sent([commit()]);
    [forced(0), forced(0), empty(1)]
        .iter()
        .for_each(|answer| call.note(answer));
    send(&call, commit());
    call.note(&empty(1));
    assert_eq!(commits_again(&call), 1);
}

#[tokio::test]
async fn in_a_new_call_every_channel_answers_again() {
    let (_sender, mut call) = sent([commit()]);
    call.note(&forced(0));
    assert_eq!(commits_again(&call), 1);
    call.note(&empty(1));
    assert_eq!(commits_again(&call), 1);
}

#[tokio::test]
async fn each_channel_goes_on_at_its_own_place_but_not_before_the_kept_audio() {
    let (_sender, mut call) = sent([audio(50), audio(100)]);
    let at = |milliseconds| call.format.time(call.format.bytes(milliseconds));
    let (begin, early, late) = (at(50), at(20), at(120));
    call.note(&RecognizeResponse {
        cursor: Some(Cursor {
            channel_finalized: vec![late, early],
            ..Cursor::default()
        }),
        ..RecognizeResponse::default()
    });
    let Request::StreamingConfig(config) = call.next_config() else {
        panic!("a call begins with its config");
    };
    let resume = config.resume.unwrap();
    assert_eq!(resume.audio_offset, Some(begin));
    assert_eq!(resume.channel_offsets, [late, begin]);
}
