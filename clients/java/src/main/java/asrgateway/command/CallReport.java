package asrgateway.command;

import asrgateway.client.RecognitionException;
import asrgateway.v1.Finished;
import asrgateway.v1.RecognitionResult;
import asrgateway.v1.RecognizeResponse;
import asrgateway.v1.StreamEvent;
import asrgateway.v1.StreamEventType;
import com.google.protobuf.Duration;
import com.google.protobuf.util.Durations;
import io.grpc.Status;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/** Prints one call. */
final class CallReport {

  private static final long UNKNOWN = Long.MIN_VALUE;

  private final Terminal terminal;
  private final String prefix;
  private final Set<String> warnings = new HashSet<>();
  // Instants of System.nanoTime().
  private volatile long firstSent = UNKNOWN;
  private volatile long allSent = UNKNOWN;
  private long firstText = UNKNOWN;

  CallReport(Terminal terminal, String prefix) {
    this.terminal = terminal;
    this.prefix = prefix;
  }

  void sending() {
    firstSent = firstSent == UNKNOWN ? System.nanoTime() : firstSent;
  }

  void finishing() {
    allSent = System.nanoTime();
  }

  void received(RecognizeResponse response) {
    switch (response.getResponseCase()) {
      case RESULT -> text(response.getResult());
      case STREAM_EVENT -> event(response.getStreamEvent());
      case WARNING -> warn(response.getWarning().getField() + ": " + response.getWarning().getMessage());
      case GOING_AWAY -> {
        long seconds = Durations.toSeconds(response.getGoingAway().getDeadline());
        terminal.note("note: the gateway stops in " + seconds + " s");
      }
      case FINISHED -> finished(response.getFinished());
      default -> {} // Nothing to print.
    }
  }

  void failed(Exception error) {
    terminal.complain(prefix + error.getMessage());
    if (!(error instanceof RecognitionException failure)) {
      return;
    }
    if (failure.retryAfter().isPresent()) {
      terminal.complain("try again in " + failure.retryAfter().get().toMillis() / 1000.0 + " s");
    } else if (failure.code() == Status.Code.UNAVAILABLE) {
      terminal.complain("check that the gateway runs at this address, with or without TLS");
    }
  }

  private void text(RecognitionResult result) {
    firstText = firstText == UNKNOWN ? System.nanoTime() : firstText;
    if (result.getIsFinal()) {
      terminal.result(prefix, result.getTranscript());
    } else {
      terminal.interim(result.getTranscript());
    }
  }

  private void event(StreamEvent event) {
    String name = event.getEventType().name().replaceFirst("^STREAM_EVENT_TYPE_", "");
    boolean isLoss = event.getEventType() == StreamEventType.STREAM_EVENT_TYPE_AUDIO_DROPPED;
    String words = name.toLowerCase(Locale.ROOT).replace('_', ' ');
    terminal.note((isLoss ? "warning: " : "note: ") + words + ": " + event.getReason());
  }

  /** Prints a warning once, although every new call repeats it. */
  private void warn(String text) {
    if (warnings.add(text)) {
      terminal.note("warning: " + text);
    }
  }

  /** Prints the delays as this client has measured them, and as the gateway has. */
  private void finished(Finished finished) {
    String first = between(firstSent, firstText);
    String last = between(allSent, System.nanoTime());
    String inGateway =
        delay(finished.hasFirstPackageDelay(), finished.getFirstPackageDelay())
            + ", "
            + delay(finished.hasLastPackageDelay(), finished.getLastPackageDelay());
    terminal.note(prefix + "first package " + first + ", last package " + last + " (at the gateway " + inGateway + ")");
  }

  private static String between(long begin, long end) {
    return begin == UNKNOWN || end == UNKNOWN ? "none" : Math.round((end - begin) / 1e6) + " ms";
  }

  private static String delay(boolean isKnown, Duration delay) {
    return isKnown ? Math.round(Durations.toNanos(delay) / 1e6) + " ms" : "none";
  }
}
