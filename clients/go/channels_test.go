package asrgateway

import (
	"context"
	"slices"
	"testing"
	"time"

	pb "asrgateway/asrgatewayv1"

	"google.golang.org/protobuf/types/known/durationpb"
)

// separate begins a call whose two channels are recognised by themselves, and sends these requests. A millisecond has
// 32 bytes.
func separate(t *testing.T, requests ...*pb.RecognizeRequest) *Call {
	t.Helper()
	client, err := NewClient("127.0.0.1:1", Options{Keep: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	decoding := Linear16(8000, 2)
	decoding.ChannelMode = pb.ChannelMode_CHANNEL_MODE_SEPARATE
	call := client.Recognize(context.Background(), &pb.StreamingConfig{DecodingConfig: decoding})
	call.nextConfig()
	call.attempt = &attempt{}
	for _, request := range requests {
		call.kept.add(request)
		call.kept.take()
	}
	return call
}

// forced is a final result that a commit has caused.
func forced(channel int32) *pb.RecognizeResponse {
	result := &pb.RecognitionResult{IsFinal: true, Forced: true, Channel: &channel}
	return &pb.RecognizeResponse{Response: &pb.RecognizeResponse_Result{Result: result}}
}

func event(kind pb.StreamEventType, channel int32) *pb.RecognizeResponse {
	event := &pb.StreamEvent{EventType: kind, Channel: &channel}
	return &pb.RecognizeResponse{Response: &pb.RecognizeResponse_StreamEvent{StreamEvent: event}}
}

func empty(channel int32) *pb.RecognizeResponse {
	return event(pb.StreamEventType_STREAM_EVENT_TYPE_COMMIT_EMPTY, channel)
}

func failed(channel int32) *pb.RecognizeResponse {
	return event(pb.StreamEventType_STREAM_EVENT_TYPE_CHANNEL_FAILED, channel)
}

func TestACommitStaysUntilEveryChannelHasAnsweredIt(t *testing.T) {
	for name, one := range map[string]struct {
		answers []*pb.RecognizeResponse
		wanted  []any
	}{
		"one channel":                   {[]*pb.RecognizeResponse{forced(0)}, []any{1600, "commit", "commit"}},
		"one channel, both":             {[]*pb.RecognizeResponse{forced(0), empty(0)}, []any{1600, "commit", "commit"}},
		"both channels":                 {[]*pb.RecognizeResponse{forced(0), empty(1)}, []any{1600, "commit"}},
		"both channels, both":           {[]*pb.RecognizeResponse{forced(0), forced(0), empty(1), empty(1)}, []any{1600}},
		"more than there are commits":   {[]*pb.RecognizeResponse{forced(0), forced(0), forced(0), empty(1)}, []any{1600, "commit"}},
		"one, and the other fails":      {[]*pb.RecognizeResponse{forced(0), failed(1)}, []any{1600, "commit"}},
		"both, and the other fails":     {[]*pb.RecognizeResponse{forced(0), forced(0), failed(1)}, []any{1600}},
		"one after the other failed":    {[]*pb.RecognizeResponse{failed(1), forced(0)}, []any{1600, "commit"}},
		"none, because all have failed": {[]*pb.RecognizeResponse{failed(0), failed(1)}, []any{1600, "commit", "commit"}},
	} {
		t.Run(name, func(t *testing.T) {
			call := separate(t, audio(1600), commit(), commit())
			for _, answer := range one.answers {
				call.note(answer)
			}
			expect(t, again(&call.kept), one.wanted...)
		})
	}
}

func TestAnAnswerIsOnlyForCommitsThatWereSentBeforeIt(t *testing.T) {
	call := separate(t, commit())
	for _, answer := range []*pb.RecognizeResponse{forced(0), forced(0), empty(1)} {
		call.note(answer)
	}
	call.kept.add(commit())
	call.kept.take()
	call.note(empty(1))
	expect(t, again(&call.kept), "commit")
}

func TestInANewCallEveryChannelAnswersAgain(t *testing.T) {
	call := separate(t, commit())
	call.note(forced(0))
	expect(t, again(&call.kept), "commit")
	call.note(empty(1))
	expect(t, again(&call.kept), "commit")
}

func TestEachChannelGoesOnAtItsOwnPlaceButNotBeforeTheKeptAudio(t *testing.T) {
	call := separate(t, audio(1600), audio(3200)) // 150 ms, of which 100 ms are kept
	response := forced(0)
	response.Cursor = &pb.Cursor{ChannelFinalized: []*durationpb.Duration{
		durationpb.New(120 * time.Millisecond), durationpb.New(20 * time.Millisecond),
	}}
	call.note(response)
	resume := call.nextConfig().GetStreamingConfig().GetResume()
	places := []time.Duration{resume.GetAudioOffset().AsDuration()}
	for _, offset := range resume.GetChannelOffsets() {
		places = append(places, offset.AsDuration())
	}
	wanted := []time.Duration{50 * time.Millisecond, 120 * time.Millisecond, 50 * time.Millisecond}
	if !slices.Equal(places, wanted) {
		t.Errorf("got %v, wanted %v", places, wanted)
	}
}
