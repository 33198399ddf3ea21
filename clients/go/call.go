package asrgateway

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	pb "asrgateway/asrgatewayv1"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	maxAudioBytes  = 1 << 20 // of one message: half of the gateway's default limit
	minUnsentBytes = 1 << 20
	firstWait      = 100 * time.Millisecond
	longestWait    = 5 * time.Second
)

// Call is one recognition. One goroutine sends, another one receives.
//
// When a call of the gateway is lost, or the gateway is going away, a new one continues it: audio without a final
// result is sent again, a second `started` arrives, and offsets and indexes go on. Only LINEAR16 is continued.
type Call struct {
	client    *Client
	ctx       context.Context
	cancel    context.CancelFunc
	config    *pb.StreamingConfig
	reconnect bool

	// Of the goroutine that receives.
	attempt      *attempt
	attempts     int
	failures     int       // since the last response
	failingSince time.Time // the first of them
	failure      *Error    // the last of them

	mutex    sync.Mutex
	changed  *sync.Cond // something to send, room for more, or the end
	kept     kept
	resume   *pb.Resume
	isClosed bool // the program has sent everything
}

// attempt is one call of the gateway.
type attempt struct {
	stream    pb.SpeechRecognitionService_RecognizeClient
	cancel    context.CancelFunc
	sender    sync.WaitGroup
	timer     *time.Timer // ends it: it is going away, or it does not answer
	isGoing   bool        // the gateway is going away
	isLeaving atomic.Bool // it was cancelled to be continued elsewhere
}

// Recognize prepares a call that begins with the first Recv. It ends early with the context, whose deadline is sent to
// the gateway.
func (c *Client) Recognize(ctx context.Context, config *pb.StreamingConfig) *Call {
	decoding := config.GetDecodingConfig()
	call := &Call{
		client:    c,
		config:    config,
		reconnect: !c.options.NoReconnect && isResumable(decoding),
		resume:    orResume(proto.CloneOf(config.GetResume())),
	}
	call.ctx, call.cancel = context.WithCancel(c.withKey(ctx))
	call.changed = sync.NewCond(&call.mutex)
	call.kept.format = formatOf(decoding)
	call.kept.begin = call.kept.format.place(call.resume.GetAudioOffset().AsDuration())
	if call.reconnect {
		call.kept.limit = call.kept.format.place(c.options.Keep)
	}
	return call
}

func isResumable(config *pb.DecodingConfig) bool {
	return config.GetEncoding() <= pb.AudioEncoding_AUDIO_ENCODING_LINEAR16
}

func orResume(resume *pb.Resume) *pb.Resume {
	if resume == nil {
		return &pb.Resume{}
	}
	return resume
}

// Send sends audio, in pieces of any size. It waits while a minute of audio is waiting already, and returns io.EOF
// after the end of the call; Recv returns the reason. The audio must not be changed afterwards.
func (c *Call) Send(audio []byte) error {
	for len(audio) > maxAudioBytes {
		if err := c.add(audioRequest(audio[:maxAudioBytes])); err != nil {
			return err
		}
		audio = audio[maxAudioBytes:]
	}
	return c.add(audioRequest(audio))
}

// Commit ends the open utterance now.
func (c *Call) Commit() error {
	return c.add(&pb.RecognizeRequest{Request: &pb.RecognizeRequest_Commit{Commit: &pb.Commit{}}})
}

// Update replaces the adaptation for the audio that follows.
func (c *Call) Update(update *pb.ConfigUpdate) error {
	return c.add(&pb.RecognizeRequest{Request: &pb.RecognizeRequest_Update{Update: update}})
}

// CloseSend says that everything is sent: the last results follow.
func (c *Call) CloseSend() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.isClosed = true
	c.changed.Broadcast()
}

func (c *Call) add(request *pb.RecognizeRequest) error {
	defer context.AfterFunc(c.ctx, c.wake)()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for c.kept.unsent >= max(c.kept.limit, minUnsentBytes) && c.ctx.Err() == nil {
		c.changed.Wait()
	}
	if c.ctx.Err() != nil {
		return io.EOF
	}
	c.kept.add(request)
	c.changed.Broadcast()
	return nil
}

func (c *Call) wake() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.changed.Broadcast()
}

// Recv returns the next response, io.EOF after the last one, or an *Error if the call ended with another status than OK.
func (c *Call) Recv() (*pb.RecognizeResponse, error) {
	for {
		response, err := c.receive()
		if err == nil {
			c.note(response)
			return response, nil
		}
		if err = c.afterEnd(err); err != nil {
			c.cancel()
			c.stop()
			return nil, err
		}
	}
}

// Cancel ends the call now.
func (c *Call) Cancel() { c.cancel() }

func (c *Call) receive() (*pb.RecognizeResponse, error) {
	if c.attempt == nil {
		if err := c.open(); err != nil {
			return nil, err
		}
	}
	return c.attempt.stream.Recv()
}

// open begins an attempt with everything that is kept.
func (c *Call) open() error {
	ctx, cancel := context.WithCancel(c.ctx)
	begun := &attempt{cancel: cancel}
	if c.failure != nil {
		begun.timer = time.AfterFunc(time.Until(c.failingSince.Add(c.client.options.GiveUp)), cancel)
	}
	c.attempt = begun
	stream, err := c.client.service.Recognize(ctx)
	if err != nil {
		return err
	}
	begun.stream = stream
	config := c.nextConfig()
	begun.sender.Add(1)
	go func() {
		defer begun.sender.Done()
		c.send(ctx, stream, config)
	}()
	return nil
}

// stop ends an attempt and everything that belongs to it.
func (c *Call) stop() {
	if c.attempt == nil {
		return
	}
	c.attempt.stopTimer()
	c.attempt.cancel()
	c.attempt.sender.Wait()
	c.attempt = nil
}

func (a *attempt) stopTimer() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

// nextConfig returns the configuration of the next attempt, which begins with the first kept item.
func (c *Call) nextConfig() *pb.RecognizeRequest {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	config := c.config
	if c.attempts++; c.attempts > 1 {
		c.kept.rewind()
		config = proto.CloneOf(c.config)
		config.Resume = proto.CloneOf(c.resume)
		begin := c.kept.format.time(c.kept.begin)
		config.Resume.AudioOffset = durationpb.New(begin)
		for i, offset := range config.Resume.ChannelOffsets {
			config.Resume.ChannelOffsets[i] = durationpb.New(max(begin, offset.AsDuration()))
		}
		if c.kept.adaptation != nil {
			config.Adaptation = c.kept.adaptation
		}
	}
	return &pb.RecognizeRequest{Request: &pb.RecognizeRequest_StreamingConfig{StreamingConfig: config}}
}

func (c *Call) send(ctx context.Context, stream pb.SpeechRecognitionService_RecognizeClient, request *pb.RecognizeRequest) {
	defer context.AfterFunc(ctx, c.wake)()
	for request != nil {
		if stream.Send(request) != nil {
			return // Recv returns the status.
		}
		request = c.take(ctx)
	}
	if ctx.Err() == nil {
		_ = stream.CloseSend() // always nil
	}
}

// take waits for the next request; nil: there is none, or the attempt has ended.
func (c *Call) take(ctx context.Context) *pb.RecognizeRequest {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for ctx.Err() == nil {
		if request := c.kept.take(); request != nil {
			c.changed.Broadcast()
			return request
		}
		if c.isClosed {
			return nil
		}
		c.changed.Wait()
	}
	return nil
}

// note lets go of what a response has made final.
func (c *Call) note(response *pb.RecognizeResponse) {
	if c.failures > 0 {
		c.failures, c.failure = 0, nil
		c.attempt.stopTimer()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	cursor := response.GetCursor()
	c.kept.release(c.kept.format.place(cursor.GetFinalized().AsDuration()))
	if channels := cursor.GetChannelFinalized(); len(channels) > 0 {
		c.resume.ChannelOffsets = channels
	}
	switch kind := response.GetResponse().(type) {
	case *pb.RecognizeResponse_Started:
		c.resume.CallId = kind.Started.GetCallId()
	case *pb.RecognizeResponse_Result:
		c.noteResult(kind.Result)
	case *pb.RecognizeResponse_StreamEvent:
		c.noteEvent(kind.StreamEvent)
	case *pb.RecognizeResponse_GoingAway:
		c.noteGoingAway(kind.GoingAway.GetDeadline().AsDuration())
	}
}

func (c *Call) noteResult(result *pb.RecognitionResult) {
	if !result.GetIsFinal() {
		return
	}
	c.resume.NextResultIndex = max(c.resume.NextResultIndex, result.GetResultIndex()+1)
	if result.GetForced() {
		c.kept.answered(channel(result.GetChannel()))
	}
	if c.attempt.isGoing {
		c.leave(c.attempt)
	}
}

func (c *Call) noteEvent(event *pb.StreamEvent) {
	switch event.GetEventType() {
	case pb.StreamEventType_STREAM_EVENT_TYPE_COMMIT_EMPTY:
		c.kept.answered(channel(event.GetChannel()))
	case pb.StreamEventType_STREAM_EVENT_TYPE_CHANNEL_FAILED:
		c.kept.failedChannel(channel(event.GetChannel()))
	}
}

func (c *Call) noteGoingAway(deadline time.Duration) {
	going := c.attempt
	if !c.reconnect || going.isGoing {
		return
	}
	going.isGoing = true
	going.timer = time.AfterFunc(deadline/2, func() {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.leave(going)
	})
}

// leave ends an attempt so that a new one continues it; one that has sent everything ends by itself in time.
func (c *Call) leave(going *attempt) {
	if !c.isClosed {
		going.isLeaving.Store(true)
		going.cancel()
	}
}

// afterEnd decides what follows an attempt: nil after it is time for a new one, otherwise the end of the call.
func (c *Call) afterEnd(err error) error {
	ended := c.attempt
	c.stop()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if c.ctx.Err() == nil && ended.isLeaving.Load() {
		return nil
	}
	failure := errorOf(err)
	if !c.reconnect || c.ctx.Err() != nil || !failure.isRetryable() {
		return failure
	}
	return c.wait(failure)
}

// wait waits before the next attempt, or returns the failure when it is too late for one.
func (c *Call) wait(failure *Error) error {
	now := time.Now()
	if c.failure == nil {
		c.failingSince = now
	}
	left := c.client.options.GiveUp - now.Sub(c.failingSince)
	if c.failure == nil || left > 0 {
		c.failure = failure // Later it is that of a timer, which says nothing.
	}
	delay := waitAfter(c.failures, failure.RetryAfter, rand.Float64())
	if delay > left {
		return c.failure
	}
	c.failures++
	if c.client.options.OnRetry != nil {
		c.client.options.OnRetry(failure, delay)
	}
	select {
	case <-time.After(delay):
		return nil
	case <-c.ctx.Done():
		return errorOf(status.FromContextError(c.ctx.Err()).Err())
	}
}

// waitAfter returns how long to wait after so many failures before this one, with a random part from 0 to 1.
func waitAfter(failures int, retryAfter *time.Duration, random float64) time.Duration {
	delay := min(longestWait, firstWait<<min(failures, 10))
	delay = time.Duration(float64(delay) * (0.5 + random/2))
	if retryAfter != nil {
		delay = max(delay, *retryAfter)
	}
	return delay
}
