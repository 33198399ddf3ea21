package asrgateway

import (
	"slices"
	"time"

	pb "asrgateway/asrgatewayv1"
)

// format turns times into bytes of audio, and back.
type format struct {
	rate       int64    // samples per second and channel
	frameBytes int64    // one sample of every channel
	recognized channels // those that give results, and answers to commits, by themselves
}

func formatOf(config *pb.DecodingConfig) format {
	count := max(1, config.GetAudioChannelCount())
	recognized := channel(0)
	if config.GetChannelMode() == pb.ChannelMode_CHANNEL_MODE_SEPARATE {
		recognized = channel(count) - 1
	}
	return format{int64(max(1, config.GetSampleRateHertz())), 2 * int64(count), recognized}
}

// channels is a set of channels, one bit each.
type channels uint64

func channel(number int32) channels { return 1 << uint32(number) }

// place returns where the audio of a time begins, in bytes.
func (f format) place(at time.Duration) int64 {
	return at.Milliseconds() * f.rate / 1000 * f.frameBytes
}

// time is the reverse of place; the gateway counts whole milliseconds.
func (f format) time(place int64) time.Duration {
	return time.Duration((place/f.frameBytes*1000+f.rate-1)/f.rate) * time.Millisecond
}

// item is a request after the configuration, and the place where it belongs in the audio.
type item struct {
	request *pb.RecognizeRequest
	begin   int64
	answers channels // those that have answered this commit
}

func (i item) bytes() int64 { return int64(len(i.request.GetAudio())) }

// kept holds what a new call has to send again, and behind it what has not been sent yet.
type kept struct {
	format     format
	limit      int64 // bytes of audio to keep once they are sent
	items      []item
	next       int                  // index of the first item that the present call has not sent
	begin      int64                // place of the first audio that is kept
	sent       int64                // bytes of audio before next
	unsent     int64                // bytes of audio from next on
	failed     channels             // they answer no commits in the present call
	adaptation *pb.SpeechAdaptation // of the last update before the items; nil without one
}

// add puts a request behind all others.
func (k *kept) add(request *pb.RecognizeRequest) {
	added := item{request: request, begin: k.begin + k.sent + k.unsent}
	k.items = append(k.items, added)
	k.unsent += added.bytes()
}

// take returns the next request to send, or nil when all are sent.
func (k *kept) take() *pb.RecognizeRequest {
	if k.next == len(k.items) {
		return nil
	}
	taken := k.items[k.next]
	k.next++
	k.sent += taken.bytes()
	k.unsent -= taken.bytes()
	if excess := k.sent - k.limit; excess > 0 {
		frames := (excess + k.format.frameBytes - 1) / k.format.frameBytes
		k.release(k.begin + frames*k.format.frameBytes)
	}
	return taken.request
}

// rewind makes take begin with the first item again, for a call in which every channel answers every commit.
func (k *kept) rewind() {
	for i := range k.items {
		k.items[i].answers = 0
	}
	k.failed = 0
	k.next = 0
	k.unsent += k.sent
	k.sent = 0
}

// release drops sent audio that lies before a place, and the updates before what is left.
func (k *kept) release(place int64) {
	place = min(place, k.begin+k.sent)
	if place <= k.begin {
		return
	}
	k.sent -= place - k.begin
	k.begin = place
	left := make([]item, 0, len(k.items))
	next := 0
	for i, one := range k.items {
		if update := one.request.GetUpdate(); update != nil && len(left) == 0 && i < k.next {
			k.adaptation = orEmpty(update.GetAdaptation())
			continue
		}
		if audio := one.request.GetAudio(); len(audio) > 0 && one.begin < place {
			if one.begin+one.bytes() <= place {
				continue
			}
			one = item{request: audioRequest(audio[place-one.begin:]), begin: place}
		}
		left = append(left, one)
		if i < k.next {
			next = len(left)
		}
	}
	k.items, k.next = left, next
}

// answered notes an answer to the oldest sent commit that the channel has not answered yet.
func (k *kept) answered(by channels) {
	for i, one := range k.items[:k.next] {
		if one.request.GetCommit() != nil && one.answers&by == 0 {
			k.items[i].answers |= by
			break
		}
	}
	k.dropAnswered()
}

// failedChannel notes that no answers of a channel will come.
func (k *kept) failedChannel(failed channels) {
	k.failed |= failed
	k.dropAnswered()
}

// dropAnswered drops the sent commits that have the answers of all channels but those that have failed.
func (k *kept) dropAnswered() {
	awaited := k.format.recognized &^ k.failed
	if awaited == 0 {
		return
	}
	isAnswered := func(one item) bool { return one.request.GetCommit() != nil && one.answers&awaited == awaited }
	sent := slices.DeleteFunc(slices.Clone(k.items[:k.next]), isAnswered)
	k.items = append(sent, k.items[k.next:]...)
	k.next = len(sent)
}

func orEmpty(adaptation *pb.SpeechAdaptation) *pb.SpeechAdaptation {
	if adaptation == nil {
		return &pb.SpeechAdaptation{}
	}
	return adaptation
}

func audioRequest(audio []byte) *pb.RecognizeRequest {
	return &pb.RecognizeRequest{Request: &pb.RecognizeRequest_Audio{Audio: audio}}
}
