package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"asrgateway"
	pb "asrgateway/asrgatewayv1"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
)

const columns = 79

// report prints final results to one file and everything else to another; on a terminal the text so far is redrawn in
// its last line.
type report struct {
	mutex      sync.Mutex
	out, err   io.Writer
	isTerminal bool
	isNumbered bool
	live       string
}

func newReport(out, err *os.File, files int) *report {
	state, failure := err.Stat()
	isTerminal := failure == nil && state.Mode()&os.ModeCharDevice != 0
	return &report{out: out, err: err, isTerminal: isTerminal, isNumbered: files > 1}
}

func (r *report) call(number int) *callReport {
	return &callReport{report: r, number: number, warnings: map[string]bool{}}
}

func (r *report) result(number int, text string) { r.line(r.out, r.prefix(number)+printable(text)) }

func (r *report) note(text string) { r.line(r.err, printable(text)) }

func (r *report) complain(text string) { r.note("asr-client-go: " + text) }

func (r *report) failed(number int, err error, ctx context.Context) {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return // Ctrl-C
	}
	r.complain(r.prefix(number) + err.Error())
	if failure, ok := err.(*asrgateway.Error); ok {
		for _, advice := range advices(failure) {
			r.complain(advice)
		}
	}
}

func advices(failure *asrgateway.Error) []string {
	if failure.RetryAfter != nil {
		return []string{fmt.Sprintf("try again in %g s", failure.RetryAfter.Seconds())}
	}
	if failure.Code == codes.Unavailable {
		return []string{"check that the gateway runs at this address, with or without TLS"}
	}
	return nil
}

func (r *report) prefix(number int) string {
	if r.isNumbered {
		return fmt.Sprintf("%d\t", number)
	}
	return ""
}

func (r *report) line(to io.Writer, text string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.show("")
	fmt.Fprintln(to, text)
}

func (r *report) interim(text string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.show(last(printable(text), columns))
}

func (r *report) close() { r.interim("") }

// show replaces the live line; blanks overwrite the rest of a longer one.
func (r *report) show(text string) {
	if !r.isTerminal || text == r.live {
		return
	}
	fmt.Fprintf(r.err, "\r%s\r%s", strings.Repeat(" ", width(r.live)), text)
	r.live = text
}

// callReport prints one call.
type callReport struct {
	*report
	number     int
	warnings   map[string]bool
	times      sync.Mutex
	begin, end time.Time     // first audio sent; everything sent
	first      time.Duration // from begin to the first text; 0 before it
	hasFirst   bool
}

func (c *callReport) sent() {
	c.times.Lock()
	defer c.times.Unlock()
	if c.begin.IsZero() {
		c.begin = time.Now()
	}
}

func (c *callReport) closed() {
	c.times.Lock()
	defer c.times.Unlock()
	c.end = time.Now()
}

func (c *callReport) received(response *pb.RecognizeResponse) {
	switch kind := response.GetResponse().(type) {
	case *pb.RecognizeResponse_Result:
		c.text(kind.Result)
	case *pb.RecognizeResponse_StreamEvent:
		c.event(kind.StreamEvent)
	case *pb.RecognizeResponse_Warning:
		c.warn(kind.Warning.GetField() + ": " + kind.Warning.GetMessage())
	case *pb.RecognizeResponse_GoingAway:
		c.note(fmt.Sprintf("note: the gateway stops in %.0f s", kind.GoingAway.GetDeadline().AsDuration().Seconds()))
	case *pb.RecognizeResponse_Finished:
		c.finished(kind.Finished)
	}
}

func (c *callReport) text(result *pb.RecognitionResult) {
	c.times.Lock()
	if !c.hasFirst {
		c.first, c.hasFirst = time.Since(c.begin), true
	}
	c.times.Unlock()
	if result.GetIsFinal() {
		c.result(c.number, result.GetTranscript())
	} else {
		c.interim(result.GetTranscript())
	}
}

func (c *callReport) event(event *pb.StreamEvent) {
	name := strings.TrimPrefix(event.GetEventType().String(), "STREAM_EVENT_TYPE_")
	name = strings.ToLower(strings.ReplaceAll(name, "_", " "))
	level := "note"
	if event.GetEventType() == pb.StreamEventType_STREAM_EVENT_TYPE_AUDIO_DROPPED {
		level = "warning"
	}
	c.note(fmt.Sprintf("%s: %s: %s", level, name, event.GetReason()))
}

// warn prints a warning once, although every new call repeats it.
func (c *callReport) warn(text string) {
	if !c.warnings[text] {
		c.warnings[text] = true
		c.note("warning: " + text)
	}
}

// finished prints the delays as this client has measured them, and as the gateway has.
func (c *callReport) finished(finished *pb.Finished) {
	c.times.Lock()
	first := milliseconds(c.first, c.hasFirst)
	last := milliseconds(time.Since(c.end), !c.end.IsZero())
	c.times.Unlock()
	c.note(fmt.Sprintf("%sfirst package %s, last package %s (at the gateway %s, %s)",
		c.prefix(c.number), first, last,
		inGateway(finished.GetFirstPackageDelay()), inGateway(finished.GetLastPackageDelay())))
}

func inGateway(delay *durationpb.Duration) string {
	return milliseconds(delay.AsDuration(), delay != nil)
}

func milliseconds(delay time.Duration, isKnown bool) string {
	if !isKnown {
		return "none"
	}
	return fmt.Sprintf("%.0f ms", float64(delay)/float64(time.Millisecond))
}

// printable replaces what would move the cursor by blanks.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// last returns the end of a text, where the newest words are, in at most so many columns.
func last(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	runes := []rune(text)
	start := len(runes)
	for left := columns - 1; start > 0 && left >= runeWidth(runes[start-1]); start-- {
		left -= runeWidth(runes[start-1])
	}
	return "…" + string(runes[start:])
}

// width counts columns: two for wide characters, such as Chinese ones.
func width(text string) int {
	sum := 0
	for _, r := range text {
		sum += runeWidth(r)
	}
	return sum
}

func runeWidth(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0x3000 && r < 0x3040 || r >= 0xFF00 && r < 0xFF61:
		return 2
	}
	return 1
}
