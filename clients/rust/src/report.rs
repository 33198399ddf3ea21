//! What the command prints: final results to standard output, everything else to standard error.

use asrgateway::v1::recognize_response::Response;
use asrgateway::v1::{Finished, RecognitionResult, RecognizeResponse, StreamEvent, StreamEventType};
use asrgateway::{Code, Error};
use std::collections::HashSet;
use std::io::{stderr, stdout, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const COLUMNS: usize = 79;

/// Writes whole lines; on a terminal the text so far is redrawn in its last line.
pub struct Report {
    is_terminal: bool,
    is_numbered: bool,
    live: Mutex<String>,
}

impl Report {
    pub fn new(files: usize) -> Arc<Self> {
        Arc::new(Self {
            is_terminal: stderr().is_terminal(),
            is_numbered: files > 1,
            live: Mutex::default(),
        })
    }

    pub fn call(self: &Arc<Self>, number: usize) -> CallReport {
        let prefix = if self.is_numbered {
            format!("{number}\t")
        } else {
            String::new()
        };
        CallReport {
            report: self.clone(),
            prefix,
            warnings: HashSet::new(),
            first: None,
            times: Arc::default(),
        }
    }

    pub fn note(&self, text: &str) {
        self.line(stderr(), &printable(text));
    }

    pub fn complain(&self, text: &str) {
        self.note(&format!("asr-client-rust: {text}"));
    }

    pub fn interim(&self, text: &str) {
        self.show(&mut self.live.lock().unwrap_or_else(PoisonError::into_inner), text);
    }

    fn line(&self, mut to: impl Write, text: &str) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        self.show(&mut live, "");
        // Nobody is left to be told that nobody reads.
        let _ = writeln!(to, "{text}").and_then(|()| to.flush());
    }

    fn show(&self, live: &mut String, text: &str) {
        let shown = last(&printable(text), COLUMNS);
        if self.is_terminal && shown != *live {
            let blanks = " ".repeat(width(live)); // They overwrite the rest of a longer line.
            let _ = write!(stderr(), "\r{blanks}\r{shown}");
            *live = shown;
        }
    }
}

/// When the first audio and the last were sent.
#[derive(Default)]
pub struct Times {
    pub begin: Option<Instant>,
    pub end: Option<Instant>,
}

/// Prints one call.
pub struct CallReport {
    report: Arc<Report>,
    prefix: String,
    warnings: HashSet<String>,
    first: Option<Instant>,
    pub times: Arc<Mutex<Times>>,
}

impl CallReport {
    pub fn received(&mut self, response: RecognizeResponse) {
        match response.response {
            Some(Response::Result(result)) => self.text(&result),
            Some(Response::StreamEvent(event)) => self.event(&event),
            Some(Response::Warning(warning)) => self.warn(format!("{}: {}", warning.field, warning.message)),
            Some(Response::GoingAway(going)) => {
                let seconds = going.deadline.unwrap_or_default().seconds;
                self.report.note(&format!("note: the gateway stops in {seconds} s"));
            }
            Some(Response::Finished(finished)) => self.finished(&finished),
            _ => {}
        }
    }

    pub fn failed(&self, error: &Error) {
        self.complain(&error.to_string());
        if let Some(delay) = error.retry_after {
            self.report.complain(&format!("try again in {} s", delay.as_secs_f64()));
        } else if error.code == Code::Unavailable {
            let advice = "check that the gateway runs at this address, with or without TLS";
            self.report.complain(advice);
        }
    }

    pub fn complain(&self, text: &str) {
        self.report.complain(&format!("{}{text}", self.prefix));
    }

    fn text(&mut self, result: &RecognitionResult) {
        self.first.get_or_insert_with(Instant::now);
        if result.is_final {
            let line = format!("{}{}", self.prefix, printable(&result.transcript));
            self.report.line(stdout(), &line);
        } else {
            self.report.interim(&result.transcript);
        }
    }

    fn event(&self, event: &StreamEvent) {
        let kind = event.event_type();
        let level = if kind == StreamEventType::AudioDropped {
            "warning"
        } else {
            "note"
        };
        let name = kind.as_str_name().trim_start_matches("STREAM_EVENT_TYPE_");
        let name = name.to_lowercase().replace('_', " ");
        self.report.note(&format!("{level}: {name}: {}", event.reason));
    }

    /// Prints a warning once, although every new call repeats it.
    fn warn(&mut self, text: String) {
        if self.warnings.insert(text.clone()) {
            self.report.note(&format!("warning: {text}"));
        }
    }

    /// Prints the delays as this client has measured them, and as the gateway has.
    fn finished(&self, finished: &Finished) {
        let now = Instant::now();
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let first = times.begin.zip(self.first).map(|(begin, first)| first - begin);
        let last = times.end.map(|end| now - end);
        let [first, last, gateway_first, gateway_last] = [
            first,
            last,
            finished.first_package_delay.and_then(|delay| delay.try_into().ok()),
            finished.last_package_delay.and_then(|delay| delay.try_into().ok()),
        ]
        .map(delay);
        let prefix = &self.prefix;
        self.report.note(&format!(
            "{prefix}first package {first}, last package {last} (at the gateway {gateway_first}, {gateway_last})"
        ));
    }
}

fn delay(delay: Option<Duration>) -> String {
    delay.map_or_else(
        || "none".to_owned(),
        |delay| format!("{:.0} ms", delay.as_secs_f64() * 1000.0),
    )
}

/// Replaces what would move the cursor by blanks.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The end of a text, where the newest words are, in at most so many columns.
fn last(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns - 1; // The ellipsis takes one.
    let fits = |letter: &char| {
        let columns = columns_of(*letter);
        left = left.checked_sub(columns)?;
        Some(letter.len_utf8())
    };
    let letters: Vec<char> = text.chars().rev().collect();
    let bytes: usize = letters.iter().map_while(fits).sum();
    format!("…{}", &text[text.len() - bytes..])
}

fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Two for wide letters, such as Chinese ones.
fn columns_of(letter: char) -> usize {
    let is_wide = matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{ff01}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3ffff}');
    let is_mark = matches!(letter, '\u{300}'..='\u{36f}');
    1 + usize::from(is_wide) - usize::from(is_mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_words_stay_in_a_line() {
        assert_eq!(last("short", 9), "short");
        assert_eq!(last("a long sentence", 9), "…sentence");
        assert_eq!(last("一二三四五六", 9), "…三四五六");
    }

    #[test]
    fn control_characters_become_blanks() {
        assert_eq!(printable("a\r\nb\x1b[2J"), "a  b [2J");
    }
}
