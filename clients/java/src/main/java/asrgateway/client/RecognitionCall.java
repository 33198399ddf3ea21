package asrgateway.client;

import asrgateway.v1.Commit;
import asrgateway.v1.ConfigUpdate;
import asrgateway.v1.DecodingConfig;
import asrgateway.v1.RecognitionResult;
import asrgateway.v1.RecognizeRequest;
import asrgateway.v1.RecognizeResponse;
import asrgateway.v1.Resume;
import asrgateway.v1.SpeechRecognitionServiceGrpc.SpeechRecognitionServiceBlockingV2Stub;
import asrgateway.v1.StreamEvent;
import asrgateway.v1.StreamingConfig;
import com.google.protobuf.ByteString;
import com.google.protobuf.util.Durations;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * One recognition. One thread sends, another one receives.
 *
 * <p>When a call of the gateway is lost, or the gateway is going away, a new one continues it: audio without a final
 * result is sent again, a second {@code started} arrives, and offsets and indexes go on. Only LINEAR16 is continued.
 */
public final class RecognitionCall implements AutoCloseable {

  private static final int MAX_AUDIO_BYTES = 1 << 20; // of one message: half of the gateway's default limit
  private static final long MIN_UNSENT_BYTES = 1 << 20;
  private static final long JOIN_MS = 5_000;

  private final SpeechRecognitionServiceBlockingV2Stub stub;
  private final Runnable connectNow;
  private final ScheduledExecutorService timers;
  private final ClientOptions options;
  private final StreamingConfig config;
  private final boolean reconnect;
  private final long mostUnsentBytes;

  // Of the thread that receives.
  private int attempts;
  private int failures; // since the last response
  private long failingSince; // System.nanoTime() of the first of them
  private RecognitionException failure; // the last of them

  // Guarded by this.
  private final AudioFormat format;
  final KeptAudio kept;
  private final Resume.Builder resume;
  private Attempt attempt;
  private boolean isFinished; // the program has sent everything
  private boolean isOver;

  /** One call of the gateway. */
  private static final class Attempt {
    final BlockingClientCall<RecognizeRequest, RecognizeResponse> call;
    Thread sender;
    ScheduledFuture<?> timer; // ends it: it is going away, or it does not answer
    boolean isGoing; // the gateway is going away
    boolean isLeaving; // it was cancelled to be continued elsewhere
    boolean isStopped;

    Attempt(BlockingClientCall<RecognizeRequest, RecognizeResponse> call) {
      this.call = call;
    }

    void stopTimer() {
      if (timer != null) {
        timer.cancel(false);
      }
    }
  }

  RecognitionCall(
      SpeechRecognitionServiceBlockingV2Stub stub,
      Runnable connectNow,
      ScheduledExecutorService timers,
      ClientOptions options,
      StreamingConfig config) {
    this.stub = stub;
    this.connectNow = connectNow;
    this.timers = timers;
    this.options = options;
    this.config = config;
    this.reconnect = options.reconnect() && isResumable(config.getDecodingConfig());
    this.resume = config.getResume().toBuilder();
    this.format = AudioFormat.of(config.getDecodingConfig());
    long keepBytes = format.place(options.keep().toMillis());
    long begin = format.place(Durations.toMillis(resume.getAudioOffset()));
    this.kept = new KeptAudio(format, reconnect ? keepBytes : 0, begin);
    this.mostUnsentBytes = Math.max(keepBytes, MIN_UNSENT_BYTES);
  }

  private static boolean isResumable(DecodingConfig decoding) {
    return switch (decoding.getEncoding()) {
      case AUDIO_ENCODING_UNSPECIFIED, AUDIO_ENCODING_LINEAR16 -> true;
      default -> false;
    };
  }

  /**
   * Sends audio, in pieces of any size. It waits while a minute of audio is waiting already.
   *
   * @return false after the end of the call; {@link #receive} says how it ended
   */
  public boolean send(byte[] audio) throws InterruptedException {
    for (int begin = 0; ; begin += MAX_AUDIO_BYTES) {
      int size = Math.min(MAX_AUDIO_BYTES, audio.length - begin);
      boolean isSent = add(RecognizeRequest.newBuilder().setAudio(ByteString.copyFrom(audio, begin, size)).build());
      if (!isSent || begin + size >= audio.length) {
        return isSent;
      }
    }
  }

  /** Ends the open utterance now. */
  public boolean commit() throws InterruptedException {
    return add(RecognizeRequest.newBuilder().setCommit(Commit.getDefaultInstance()).build());
  }

  /** Replaces the adaptation for the audio that follows. */
  public boolean update(ConfigUpdate update) throws InterruptedException {
    return add(RecognizeRequest.newBuilder().setUpdate(update).build());
  }

  /** Says that everything is sent: the last results follow. */
  public synchronized void finish() {
    isFinished = true;
    notifyAll();
  }

  private synchronized boolean add(RecognizeRequest request) throws InterruptedException {
    while (kept.unsentBytes() >= mostUnsentBytes && !isOver) {
      wait();
    }
    if (!isOver) {
      kept.add(request);
      notifyAll();
    }
    return !isOver;
  }

  /**
   * Returns the next response.
   *
   * @return null after the last one
   * @throws RecognitionException the call ended with a status other than OK
   */
  public RecognizeResponse receive() throws RecognitionException, InterruptedException {
    for (Attempt current = open(); current != null; current = open()) {
      try {
        RecognizeResponse response = current.call.read();
        if (response == null) {
          close();
        } else {
          note(current, response);
        }
        return response;
      } catch (StatusException e) {
        continueAfter(current, RecognitionException.of(e));
      } catch (InterruptedException e) {
        close();
        throw e;
      }
    }
    return null;
  }

  private synchronized boolean isOver() {
    return isOver;
  }

  /** Ends the call now. */
  @Override
  public void close() {
    synchronized (this) {
      isOver = true;
      notifyAll();
    }
    stop();
  }

  /** Returns the present attempt, or begins one with everything that is kept; null after the end of the call. */
  private synchronized Attempt open() {
    if (attempt == null && !isOver) {
      var begun = new Attempt(stub.recognize());
      RecognizeRequest first = nextConfig();
      if (failure != null) {
        long left = failingSince + options.giveUp().toNanos() - System.nanoTime();
        begun.timer = timers.schedule(() -> begun.call.cancel("no answer", null), left, TimeUnit.NANOSECONDS);
      }
      begun.sender = RecognitionClient.daemon(() -> send(begun, first));
      begun.sender.start();
      attempt = begun;
    }
    return attempt;
  }

  /** Ends the present attempt and everything that belongs to it. */
  private void stop() {
    Attempt ended;
    synchronized (this) {
      ended = attempt;
      attempt = null;
      if (ended == null) {
        return;
      }
      ended.isStopped = true;
      ended.stopTimer();
      notifyAll();
    }
    ended.call.cancel("the client ends the call", null);
    try {
      ended.sender.join(JOIN_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Returns the configuration of the next attempt, which begins with the first kept item. */
  synchronized RecognizeRequest nextConfig() {
    var next = config.toBuilder();
    if (++attempts > 1) {
      kept.rewind();
      next.setResume(resumeAt(format.milliseconds(kept.begin())));
      kept.adaptation().ifPresent(next::setAdaptation);
    }
    return RecognizeRequest.newBuilder().setStreamingConfig(next).build();
  }

  private Resume.Builder resumeAt(long beginMs) {
    var next = resume.clone().setAudioOffset(Durations.fromMillis(beginMs)).clearChannelOffsets();
    for (var offset : resume.getChannelOffsetsList()) {
      next.addChannelOffsets(Durations.fromMillis(Math.max(beginMs, Durations.toMillis(offset))));
    }
    return next;
  }

  private void send(Attempt current, RecognizeRequest first) {
    try {
      var request = Optional.of(first);
      while (request.isPresent()) {
        if (!current.call.write(request.get())) {
          return; // The call has ended; the reader gets its status.
        }
        request = take(current);
      }
      if (!isStopped(current)) {
        current.call.halfClose();
      }
    } catch (StatusException | IllegalStateException e) {
      // As above.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized boolean isStopped(Attempt current) {
    return current.isStopped;
  }

  /** Waits for the next request; empty: there is none, or the attempt has ended. */
  private synchronized Optional<RecognizeRequest> take(Attempt current) throws InterruptedException {
    while (!current.isStopped) {
      Optional<RecognizeRequest> request = kept.take();
      if (request.isPresent() || isFinished) {
        notifyAll();
        return request;
      }
      wait();
    }
    return Optional.empty();
  }

  private synchronized void note(Attempt current, RecognizeResponse response) {
    if (failures > 0) {
      failures = 0;
      failure = null;
      current.stopTimer();
    }
    letGo(response);
    if (response.hasGoingAway()) {
      noteGoingAway(current, Durations.toMillis(response.getGoingAway().getDeadline()));
    } else if (response.getResult().getIsFinal() && current.isGoing) {
      leave(current);
    }
  }

  /** Lets go of what a response has made final. */
  synchronized void letGo(RecognizeResponse response) {
    kept.release(format.place(Durations.toMillis(response.getCursor().getFinalized())));
    if (response.getCursor().getChannelFinalizedCount() > 0) {
      resume.clearChannelOffsets().addAllChannelOffsets(response.getCursor().getChannelFinalizedList());
    }
    switch (response.getResponseCase()) {
      case STARTED -> resume.setCallId(response.getStarted().getCallId());
      case RESULT -> noteResult(response.getResult());
      case STREAM_EVENT -> noteEvent(response.getStreamEvent());
      default -> {} // It changes nothing that is kept.
    }
  }

  private void noteResult(RecognitionResult result) {
    if (!result.getIsFinal()) {
      return;
    }
    resume.setNextResultIndex(Math.max(resume.getNextResultIndex(), result.getResultIndex() + 1));
    if (result.getForced()) {
      kept.answered(result.getChannel());
    }
  }

  private void noteEvent(StreamEvent event) {
    switch (event.getEventType()) {
      case STREAM_EVENT_TYPE_COMMIT_EMPTY -> kept.answered(event.getChannel());
      case STREAM_EVENT_TYPE_CHANNEL_FAILED -> kept.failed(event.getChannel());
      default -> {} // It changes nothing that is kept.
    }
  }

  private void noteGoingAway(Attempt current, long deadlineMs) {
    if (reconnect && !current.isGoing) {
      current.isGoing = true;
      current.timer = timers.schedule(() -> leave(current), deadlineMs / 2, TimeUnit.MILLISECONDS);
    }
  }

  /** Ends an attempt so that a new one continues it; one that has sent everything ends by itself in time. */
  private synchronized void leave(Attempt current) {
    if (!isFinished) {
      current.isLeaving = true;
      current.call.cancel("continued elsewhere", null);
    }
  }

  /** Returns when it is time for a new attempt, or ends the call. */
  private void continueAfter(Attempt ended, RecognitionException error)
      throws RecognitionException, InterruptedException {
    stop();
    if (isOver() || !reconnect || !(isLeft(ended) || error.isRetryable())) {
      close();
      throw error;
    }
    if (!isLeft(ended)) {
      waitAfter(error);
    }
    connectNow.run(); // gRPC for Java waits for up to 2 minutes between its attempts otherwise.
  }

  private synchronized boolean isLeft(Attempt ended) {
    return ended.isLeaving;
  }

  private void waitAfter(RecognitionException error) throws RecognitionException, InterruptedException {
    long now = System.nanoTime();
    boolean isFirst = failure == null;
    failingSince = isFirst ? now : failingSince;
    Duration left = options.giveUp().minusNanos(now - failingSince);
    if (isFirst || !left.isNegative()) {
      failure = error; // Later it is that of a timer, which says nothing.
    }
    Duration delay = delay(failures, error.retryAfter(), ThreadLocalRandom.current().nextDouble());
    if (delay.compareTo(left) > 0) {
      close();
      throw failure;
    }
    failures++;
    options.onRetry().accept(error, delay);
    pause(delay);
  }

  private synchronized void pause(Duration delay) throws InterruptedException {
    long end = System.nanoTime() + delay.toNanos();
    for (long left = delay.toNanos(); left > 0 && !isOver; left = end - System.nanoTime()) {
      TimeUnit.NANOSECONDS.timedWait(this, left);
    }
  }

  /** Returns how long to wait after so many failures before this one, with a random part from 0 to 1. */
  static Duration delay(int failures, Optional<Duration> retryAfter, double random) {
    double longest = Math.min(5_000, 100 * Math.pow(2, failures));
    var delay = Duration.ofMillis(Math.round(longest * (0.5 + random / 2)));
    return retryAfter.filter(least -> least.compareTo(delay) > 0).orElse(delay);
  }
}
