package asrgateway.client;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import java.time.Duration;
import java.util.function.BiConsumer;

/**
 * How a client reaches the gateway.
 *
 * @param credentials TLS, such as {@code TlsChannelCredentials.create()}, or none
 * @param apiKey sent with every call, or empty; without TLS others may read it on the way
 * @param reconnect whether a lost call is continued in a new one
 * @param giveUp how long a call looks for a gateway that answers before it ends with the last error
 * @param keep how much audio without a final result is kept, to be sent again in a new call
 * @param onRetry called before each wait for a new attempt
 */
public record ClientOptions(
    ChannelCredentials credentials,
    String apiKey,
    boolean reconnect,
    Duration giveUp,
    Duration keep,
    BiConsumer<RecognitionException, Duration> onRetry) {

  private static final Duration MINUTE = Duration.ofMinutes(1);

  /** Checks that the key can be sent; the message of the exception does not show it. */
  public ClientOptions {
    if (apiKey.chars().anyMatch(c -> c <= ' ' || c > '~')) {
      throw new IllegalArgumentException(
          "the API key must consist of ASCII letters, digits and signs, without blanks");
    }
  }

  /** Plain text, without a key, whose calls survive a restart of the gateway. */
  public ClientOptions() {
    this(InsecureChannelCredentials.create(), "", true, MINUTE, MINUTE, (failure, wait) -> {});
  }

  /** The same with TLS. */
  public ClientOptions withCredentials(ChannelCredentials value) {
    return new ClientOptions(value, apiKey, reconnect, giveUp, keep, onRetry);
  }

  /** The same with a key. */
  public ClientOptions withApiKey(String value) {
    return new ClientOptions(credentials, value, reconnect, giveUp, keep, onRetry);
  }

  /** The same with or without new attempts. */
  public ClientOptions withReconnect(boolean value) {
    return new ClientOptions(credentials, apiKey, value, giveUp, keep, onRetry);
  }

  /** The same with another limit for new attempts. */
  public ClientOptions withGiveUp(Duration value) {
    return new ClientOptions(credentials, apiKey, reconnect, value, keep, onRetry);
  }

  /** The same with a listener for new attempts. */
  public ClientOptions withOnRetry(BiConsumer<RecognitionException, Duration> value) {
    return new ClientOptions(credentials, apiKey, reconnect, giveUp, keep, value);
  }

  @Override
  public String toString() {
    return "ClientOptions[reconnect=" + reconnect + "]"; // Never the key.
  }
}
