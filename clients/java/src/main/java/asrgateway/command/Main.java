package asrgateway.command;

import asrgateway.client.ClientOptions;
import asrgateway.client.RecognitionCall;
import asrgateway.client.RecognitionClient;
import asrgateway.client.RecognitionException;
import asrgateway.v1.RecognizeResponse;
import asrgateway.v1.StreamingConfig;
import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The command {@code asr-client-java}. */
public final class Main {

  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);
  private static final int OK = 0;
  private static final int FAILED = 1;
  private static final int UNUSABLE = 2;

  /** Held here, for the logging library forgets its levels with it. */
  private static final Logger GRPC = Logger.getLogger("io.grpc");

  private final Terminal terminal;
  private final RecognitionClient client;
  private final StreamingConfig config;
  private final Duration timeout;
  private final boolean isFast;
  private volatile boolean isInterrupted;

  private Main(Arguments arguments, Terminal terminal) throws IOException, Arguments.Wrong {
    this.terminal = terminal;
    this.client = new RecognitionClient(arguments.get("--target", "127.0.0.1:50051"), options(arguments));
    var wanted = StreamingConfig.newBuilder().setModel(arguments.get("--model", "")).setInterimResults(true);
    if (arguments.has("--language")) {
      wanted.addLanguageCodes(arguments.get("--language", ""));
    }
    this.config = wanted.build();
    this.timeout = Duration.ofMillis(Math.round(arguments.timeoutSeconds() * 1000));
    this.isFast = arguments.has("--fast");
  }

  /** Runs the command and ends the process with its exit code; Ctrl-C ends it with 130. */
  public static void main(String[] given) {
    GRPC.setLevel(Level.WARNING);
    System.exit(run(List.of(given)));
  }

  private static int run(List<String> given) {
    var terminal = new Terminal();
    try {
      var arguments = Arguments.parse(given);
      if (arguments.has("--help")) {
        System.out.print(Arguments.help());
        return OK;
      }
      var recordings = new ArrayList<Recording>();
      for (String file : arguments.files()) {
        recordings.add(Recording.open(file, arguments.rate()));
      }
      return new Main(arguments, terminal).recognizeAll(recordings);
    } catch (Arguments.Wrong e) {
      terminal.complain(e.getMessage() + "; --help lists the options");
    } catch (IOException | IllegalArgumentException e) {
      terminal.complain(e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return UNUSABLE;
  }

  private ClientOptions options(Arguments arguments) throws IOException {
    return new ClientOptions()
        .withCredentials(credentials(arguments))
        .withApiKey(key(arguments))
        .withReconnect(!arguments.has("--no-reconnect"))
        .withOnRetry(
            (failure, wait) -> {
              double seconds = wait.toMillis() / 1000.0;
              terminal.note(
                  String.format(Locale.ROOT, "warning: %s; trying again in %.1f s", failure.getMessage(), seconds));
            });
  }

  private static ChannelCredentials credentials(Arguments arguments) throws IOException {
    if (arguments.has("--ca")) {
      return TlsChannelCredentials.newBuilder().trustManager(new File(arguments.get("--ca", ""))).build();
    }
    return arguments.has("--tls") ? TlsChannelCredentials.create() : InsecureChannelCredentials.create();
  }

  private static String key(Arguments arguments) throws IOException {
    if (arguments.has("--api-key-file")) {
      return Files.readString(Path.of(arguments.get("--api-key-file", ""))).strip();
    }
    return System.getenv().getOrDefault("ASR_API_KEY", "");
  }

  /** Runs one call for each recording and returns the exit code. */
  private int recognizeAll(List<Recording> recordings) throws InterruptedException {
    // After Ctrl-C: the calls are cancelled before the process ends.
    Runtime.getRuntime().addShutdownHook(new Thread(this::interrupt));
    client.connect(CONNECT_TIMEOUT);
    ExecutorService threads = Executors.newCachedThreadPool(Main::daemon);
    var calls = new ArrayList<Future<Boolean>>();
    for (int number = 0; number < recordings.size(); number++) {
      Recording recording = recordings.get(number);
      var report = new CallReport(terminal, recordings.size() > 1 ? number + "\t" : "");
      calls.add(threads.submit(() -> recognize(recording, report, threads)));
    }
    boolean isOk = true;
    for (Future<Boolean> call : calls) {
      try {
        isOk &= call.get();
      } catch (ExecutionException e) {
        throw new IllegalStateException("a call ended in an unexpected way", e);
      }
    }
    terminal.interim("");
    return isOk ? OK : FAILED;
  }

  private void interrupt() {
    isInterrupted = true;
    client.close();
  }

  private static Thread daemon(Runnable task) {
    var thread = new Thread(task);
    thread.setDaemon(true);
    return thread;
  }

  private boolean recognize(Recording recording, CallReport report, ExecutorService threads)
      throws InterruptedException {
    var own = config.toBuilder().setDecodingConfig(recording.format()).build();
    var unreadable = new AtomicReference<IOException>();
    try (RecognitionCall call = timeout.isZero() ? client.recognize(own) : client.recognize(own, timeout)) {
      // It ends with the call, unless standard input blocks, which the end of the program ends.
      threads.execute(() -> send(recording, call, report, unreadable));
      RecognizeResponse response = call.receive();
      while (response != null) {
        report.received(response);
        response = call.receive();
      }
      if (unreadable.get() == null) {
        return true;
      }
      report.failed(unreadable.get());
    } catch (RecognitionException e) {
      if (!isInterrupted) {
        report.failed(unreadable.get() == null ? e : unreadable.get());
      }
    }
    return false;
  }

  private void send(
      Recording recording, RecognitionCall call, CallReport report, AtomicReference<IOException> unreadable) {
    try {
      recording.sendTo(call, isFast, report);
    } catch (IOException e) {
      unreadable.set(e);
      call.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
