package asrgateway

import (
	"slices"
	"testing"
	"time"

	pb "asrgateway/asrgatewayv1"

	"google.golang.org/protobuf/proto"
)

// At 8 kHz and with one channel a millisecond has 16 bytes.
var mono = formatOf(Linear16(8000, 1))

func audio(size int) *pb.RecognizeRequest { return audioRequest(make([]byte, size)) }

func commit() *pb.RecognizeRequest {
	return &pb.RecognizeRequest{Request: &pb.RecognizeRequest_Commit{Commit: &pb.Commit{}}}
}

func update(context string) *pb.RecognizeRequest {
	return &pb.RecognizeRequest{Request: &pb.RecognizeRequest_Update{
		Update: &pb.ConfigUpdate{Adaptation: &pb.SpeechAdaptation{Context: context}},
	}}
}

func sent(requests ...*pb.RecognizeRequest) *kept {
	k := &kept{format: mono, limit: mono.place(time.Second)}
	for _, request := range requests {
		k.add(request)
		k.take()
	}
	return k
}

// again returns what a new call would send: sizes of audio, "commit" and the context of updates.
func again(k *kept) []any {
	k.rewind()
	found := []any{}
	for request := k.take(); request != nil; request = k.take() {
		switch kind := request.Request.(type) {
		case *pb.RecognizeRequest_Audio:
			found = append(found, len(kind.Audio))
		case *pb.RecognizeRequest_Commit:
			found = append(found, "commit")
		case *pb.RecognizeRequest_Update:
			found = append(found, kind.Update.Adaptation.Context)
		}
	}
	return found
}

func expect(t *testing.T, got []any, wanted ...any) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Errorf("got %v, wanted %v", got, wanted)
	}
}

func TestAudioWithoutAFinalResultIsSentAgain(t *testing.T) {
	expect(t, again(sent(audio(1600), audio(1600))), 1600, 1600)
}

func TestAudioBeforeTheEndOfAFinalResultIsDropped(t *testing.T) {
	k := sent(audio(1600), audio(1600))
	k.release(mono.place(150 * time.Millisecond))
	expect(t, again(k), 800)
	if at := mono.time(k.begin); at != 150*time.Millisecond {
		t.Errorf("the first kept sample is at %v", at)
	}
}

func TestACommitStaysUntilItIsAnswered(t *testing.T) {
	k := sent(audio(1600), commit(), audio(1600), commit())
	k.release(mono.place(200 * time.Millisecond))
	expect(t, again(k), "commit", "commit")
	k.answered(channel(0))
	expect(t, again(k), "commit")
}

func TestACommitThatWasNotSentIsNotAnswered(t *testing.T) {
	k := sent(audio(1600))
	k.add(commit())
	k.answered(channel(0))
	expect(t, again(k), 1600, "commit")
}

func TestAnUpdateBeforeTheKeptAudioBecomesTheAdaptation(t *testing.T) {
	k := sent(audio(1600), update("first"), audio(1600), update("second"), audio(1600))
	k.release(mono.place(150 * time.Millisecond))
	expect(t, again(k), 800, "second", 1600)
	if k.adaptation.GetContext() != "first" {
		t.Errorf("the adaptation is %v", k.adaptation)
	}
}

func TestAnUpdateThatRemovesTheAdaptationCountsToo(t *testing.T) {
	empty := &pb.RecognizeRequest{Request: &pb.RecognizeRequest_Update{Update: &pb.ConfigUpdate{}}}
	k := sent(audio(1600), empty, audio(1600))
	k.release(mono.place(150 * time.Millisecond))
	if !proto.Equal(k.adaptation, &pb.SpeechAdaptation{}) {
		t.Errorf("the adaptation is %v", k.adaptation)
	}
}

func TestOlderAudioThanTheLimitIsDropped(t *testing.T) {
	k := sent(audio(9600), audio(9600))
	expect(t, again(k), 6400, 9600)
}

func TestAudioThatWasNotSentIsNeverDropped(t *testing.T) {
	k := sent(audio(1600))
	k.add(audio(32000))
	k.release(mono.place(time.Minute))
	if k.sent != 0 || k.unsent != 32000 {
		t.Errorf("%d bytes were sent and %d were not", k.sent, k.unsent)
	}
}

func TestNothingIsKeptWithoutALimit(t *testing.T) {
	k := &kept{format: mono}
	k.add(audio(1601))
	k.take()
	if len(k.items) != 0 || k.sent != 0 {
		t.Errorf("%d items with %d bytes are kept", len(k.items), k.sent)
	}
}

func TestPlacesAreWholeMillisecondsAtEveryRate(t *testing.T) {
	for _, rate := range []int{4000, 8000, 11025, 16000, 22050, 44100, 48000, 192000} {
		stereo := formatOf(Linear16(rate, 2))
		for at := time.Duration(0); at < 3*time.Second; at += time.Millisecond {
			if found := stereo.time(stereo.place(at)); found != at {
				t.Fatalf("%v at %d Hz became %v", at, rate, found)
			}
		}
	}
}
