package asrgateway.client;

import asrgateway.v1.ListModelsRequest;
import asrgateway.v1.ListModelsResponse;
import asrgateway.v1.SpeechRecognitionServiceGrpc;
import asrgateway.v1.SpeechRecognitionServiceGrpc.SpeechRecognitionServiceBlockingV2Stub;
import asrgateway.v1.StreamingConfig;
import io.grpc.ConnectivityState;
import io.grpc.Deadline;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusException;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** A connection to one gateway, or to several behind one name, for any number of calls at the same time. */
public final class RecognitionClient implements AutoCloseable {

  /**
   * Calls take turns among all addresses of a target. A call is sent again, audio included, as long as no response
   * header came: the gateway has not begun it.
   */
  private static final Map<String, ?> SERVICE_CONFIG =
      Map.of(
          "loadBalancingConfig",
          List.of(Map.of("round_robin", Map.of())),
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", SpeechRecognitionServiceGrpc.SERVICE_NAME)),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts", 5.0,
                      "initialBackoff", "0.05s",
                      "maxBackoff", "1s",
                      "backoffMultiplier", 2.0,
                      "retryableStatusCodes", List.of("UNAVAILABLE", "CANCELLED")))));

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Set<ConnectivityState> OPENING =
      EnumSet.of(ConnectivityState.IDLE, ConnectivityState.CONNECTING);
  private static final long CLOSE_SECONDS = 1;

  private final ClientOptions options;
  private final ManagedChannel channel;
  private final SpeechRecognitionServiceBlockingV2Stub stub;
  /** A closed client drops what calls still ask for. */
  private final ScheduledThreadPoolExecutor timers =
      new ScheduledThreadPoolExecutor(1, RecognitionClient::daemon, new ThreadPoolExecutor.DiscardPolicy());

  /**
   * Connects with the first call.
   *
   * @param target {@code host:port}, or another name that gRPC resolves
   */
  public RecognitionClient(String target, ClientOptions options) {
    this.options = options;
    this.timers.setRemoveOnCancelPolicy(true);
    this.channel =
        Grpc.newChannelBuilder(target, options.credentials())
            .defaultServiceConfig(SERVICE_CONFIG)
            .enableRetry()
            // A speaker may be silent for long: pings keep proxies from dropping the quiet connection.
            .keepAliveTime(60, TimeUnit.SECONDS)
            .keepAliveTimeout(20, TimeUnit.SECONDS)
            .build();
    var plain = SpeechRecognitionServiceGrpc.newBlockingV2Stub(channel);
    var withKey = MetadataUtils.newAttachHeadersInterceptor(key());
    this.stub = options.apiKey().isEmpty() ? plain : plain.withInterceptors(withKey);
  }

  private Metadata key() {
    var metadata = new Metadata();
    metadata.put(AUTHORIZATION, "Bearer " + options.apiKey());
    return metadata;
  }

  static Thread daemon(Runnable task) {
    var thread = new Thread(task, "asrgateway");
    thread.setDaemon(true);
    return thread;
  }

  /**
   * Connects before the first call does: worth it before a microphone is opened, since Java needs a second to load what a
   * connection needs.
   *
   * @return whether the connection is there; false too when the first attempt fails
   */
  public boolean connect(Duration timeout) throws InterruptedException {
    long end = System.nanoTime() + timeout.toNanos();
    ConnectivityState state = channel.getState(true);
    while (OPENING.contains(state) && System.nanoTime() < end) {
      var changed = new CountDownLatch(1);
      channel.notifyWhenStateChanged(state, changed::countDown);
      changed.await(end - System.nanoTime(), TimeUnit.NANOSECONDS);
      state = channel.getState(true);
    }
    return state == ConnectivityState.READY;
  }

  /** Prepares a call without a limit of time. It begins with the first {@link RecognitionCall#receive}. */
  public RecognitionCall recognize(StreamingConfig config) {
    return new RecognitionCall(stub, channel::resetConnectBackoff, timers, options, config);
  }

  /** Prepares a call that ends with DEADLINE_EXCEEDED after the timeout. */
  public RecognitionCall recognize(StreamingConfig config, Duration timeout) {
    var limited = stub.withDeadline(Deadline.after(timeout.toNanos(), TimeUnit.NANOSECONDS));
    return new RecognitionCall(limited, channel::resetConnectBackoff, timers, options, config);
  }

  /** Returns the models and their aliases. */
  public ListModelsResponse listModels(Duration timeout) throws RecognitionException {
    try {
      return stub.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS)
          .listModels(ListModelsRequest.getDefaultInstance());
    } catch (StatusException e) {
      throw RecognitionException.of(e);
    }
  }

  /** Closes the connection; open calls end with CANCELLED or UNAVAILABLE. */
  @Override
  public void close() {
    timers.shutdownNow();
    channel.shutdownNow();
    try {
      channel.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
