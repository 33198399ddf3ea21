package asrgateway

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func refused(t *testing.T, code codes.Code) *Error {
	t.Helper()
	from, err := status.New(code, "too many calls").WithDetails(
		&errdetails.ErrorInfo{Reason: "CALL_LIMIT", Metadata: map[string]string{"limit": "3"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "streaming_config"}}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)},
	)
	if err != nil {
		t.Fatal(err)
	}
	return errorOf(from.Err())
}

func TestAnErrorHasTheDetailsOfTheStatus(t *testing.T) {
	const wanted = "RESOURCE_EXHAUSTED: too many calls (field: streaming_config, reason: CALL_LIMIT, limit: 3)"
	failure := refused(t, codes.ResourceExhausted)
	if failure.Error() != wanted || *failure.RetryAfter != 2*time.Second {
		t.Errorf("got %q and %v", failure.Error(), *failure.RetryAfter)
	}
}

func TestOnlyWhatMayEndByItselfIsTriedAgain(t *testing.T) {
	for code, wanted := range map[codes.Code]bool{
		codes.Unavailable: true, codes.ResourceExhausted: true, codes.InvalidArgument: false, codes.DeadlineExceeded: false,
	} {
		if refused(t, code).isRetryable() != wanted {
			t.Errorf("%v: wanted %v", code, wanted)
		}
	}
	if errorOf(status.Error(codes.ResourceExhausted, "too large")).isRetryable() {
		t.Error("an exhausted resource without RetryInfo stays exhausted")
	}
}

func TestWaitsDoubleUpToFiveSecondsAndObeyTheGateway(t *testing.T) {
	long := 30 * time.Second
	for _, one := range []struct {
		failures   int
		retryAfter *time.Duration
		random     float64
		wanted     time.Duration
	}{
		{0, nil, 1, 100 * time.Millisecond},
		{0, nil, 0, 50 * time.Millisecond},
		{3, nil, 1, 800 * time.Millisecond},
		{1000, nil, 1, 5 * time.Second},
		{0, &long, 1, long},
	} {
		if got := waitAfter(one.failures, one.retryAfter, one.random); got != one.wanted {
			t.Errorf("%+v: got %v", one, got)
		}
	}
}

func TestAKeyThatCannotBeSentIsRefusedWithoutShowingIt(t *testing.T) {
	_, err := NewClient("127.0.0.1:1", Options{APIKey: "se cret"})
	if err == nil || bytes.Contains([]byte(err.Error()), []byte("cret")) {
		t.Errorf("got %v", err)
	}
}

func wav(format string, body []uint16, dataBytes uint32, samples string) io.Reader {
	var file bytes.Buffer
	file.WriteString("RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00")
	file.WriteString(format)
	_ = binary.Write(&file, binary.LittleEndian, uint32(2*len(body)))
	_ = binary.Write(&file, binary.LittleEndian, body)
	file.WriteString("data")
	_ = binary.Write(&file, binary.LittleEndian, dataBytes)
	file.WriteString(samples)
	return &file
}

var stereo = []uint16{1, 2, 44100, 0, 0, 0, 4, 16}

func TestAWAVFileIsReadUpToTheEndOfItsSamples(t *testing.T) {
	config, samples, err := ReadWAV(wav("fmt ", stereo, 4, "1234LIST"))
	if err != nil {
		t.Fatal(err)
	}
	audio, _ := io.ReadAll(samples)
	if config.GetSampleRateHertz() != 44100 || config.GetAudioChannelCount() != 2 || string(audio) != "1234" {
		t.Errorf("got %v and %q", config, audio)
	}
}

func TestAWAVFileWithoutALengthIsReadToItsEnd(t *testing.T) {
	for _, length := range []uint32{0, 0xFFFFFFFF} {
		_, samples, err := ReadWAV(wav("fmt ", stereo, length, "12345678"))
		if err != nil {
			t.Fatal(err)
		}
		if audio, _ := io.ReadAll(samples); string(audio) != "12345678" {
			t.Errorf("got %q", audio)
		}
	}
}

func TestWhatIsNo16BitPCMIsRefused(t *testing.T) {
	for name, file := range map[string]io.Reader{
		"text":        bytes.NewBufferString("this is a text and no recording"),
		"no format":   wav("none", stereo, 4, "1234"),
		"float":       wav("fmt ", []uint16{3, 1, 8000, 0, 0, 0, 4, 32}, 4, "1234"),
		"header only": bytes.NewBufferString("RIFF\x00\x00\x00\x00WAVE"),
	} {
		if _, _, err := ReadWAV(file); err == nil {
			t.Errorf("%s: there was no error", name)
		}
	}
}
