package asrgateway.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** A call ended with a status other than OK. */
public final class RecognitionException extends Exception {

  private static final long serialVersionUID = 1;

  private final Status.Code code;
  private final String sentence;
  private String reason = "";
  private String field = "";
  private Duration retryAfter;
  private transient Map<String, String> metadata = Map.of();

  private RecognitionException(Status status, Throwable cause) {
    super(cause);
    this.code = status.getCode();
    this.sentence = sentence(status);
  }

  /** Returns the gateway's sentence, or gRPC's own with the cause that it names. */
  private static String sentence(Status status) {
    String own = Optional.ofNullable(status.getDescription()).orElse("");
    return status.getCause() == null ? own : own + ": " + status.getCause().getMessage();
  }

  /** Reads a status and the details in its trailing metadata; garbled details are left out. */
  static RecognitionException of(Throwable error) {
    var result = new RecognitionException(Status.fromThrowable(error), error);
    var details = StatusProto.fromThrowable(error);
    if (details != null) {
      details.getDetailsList().forEach(result::read);
    }
    return result;
  }

  private void read(Any detail) {
    try {
      if (detail.is(ErrorInfo.class)) {
        var info = detail.unpack(ErrorInfo.class);
        reason = info.getReason();
        metadata = new TreeMap<>(info.getMetadataMap());
      } else if (detail.is(BadRequest.class)) {
        field = detail.unpack(BadRequest.class).getFieldViolations(0).getField();
      } else if (detail.is(RetryInfo.class)) {
        var delay = detail.unpack(RetryInfo.class).getRetryDelay();
        retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      }
    } catch (InvalidProtocolBufferException | IndexOutOfBoundsException e) {
      // The error is complete without them.
    }
  }

  /** The gRPC status. */
  public Status.Code code() {
    return code;
  }

  /** What went wrong, in a sentence. */
  public String sentence() {
    return sentence;
  }

  /** The gateway's name for the cause, or empty. */
  public String reason() {
    return reason;
  }

  /** Path of the field to correct, or empty. */
  public String field() {
    return field;
  }

  /** When to try again, if the gateway says so. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** More about the cause. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Returns code, sentence, and the known facts about the cause, in one line. */
  @Override
  public String getMessage() {
    var facts = new LinkedHashMap<String, String>();
    facts.put("field", field);
    facts.put("reason", reason);
    facts.putAll(metadata);
    String known =
        facts.entrySet().stream()
            .filter(fact -> !fact.getValue().isEmpty())
            .map(fact -> fact.getKey() + ": " + fact.getValue())
            .collect(Collectors.joining(", "));
    return code + ": " + sentence + (known.isEmpty() ? "" : " (" + known + ")");
  }

  /**
   * Whether another gateway, or the same one later, may continue the call. A connection that is lost ends a call with
   * UNAVAILABLE, or with CANCELLED if the gateway was killed at that moment.
   */
  boolean isRetryable() {
    return switch (code) {
      case UNAVAILABLE, CANCELLED -> true;
      case RESOURCE_EXHAUSTED -> retryAfter != null;
      default -> false;
    };
  }
}
