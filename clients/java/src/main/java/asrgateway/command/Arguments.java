package asrgateway.command;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The options and files of the command. */
final class Arguments {

  /** The arguments are wrong; the message says how. */
  static final class Wrong extends Exception {
    private static final long serialVersionUID = 1;

    Wrong(String message) {
      super(message);
    }
  }

  private record Option(String value, String help) {
    boolean isFlag() {
      return value.isEmpty();
    }
  }

  private static final Map<String, Option> OPTIONS = new LinkedHashMap<>();

  static {
    OPTIONS.put("--target", new Option("HOST:PORT", "the gateway; default: 127.0.0.1:50051"));
    OPTIONS.put("--model", new Option("M", "the model or an alias; default: the gateway's"));
    OPTIONS.put("--language", new Option("L", "the language that is spoken, such as en-US"));
    OPTIONS.put("--rate", new Option("HZ", "samples per second of raw audio; default: 16000"));
    OPTIONS.put("--fast", new Option("", "send as fast as the gateway accepts it"));
    OPTIONS.put("--timeout", new Option("S", "end the calls after so many seconds; default: never"));
    OPTIONS.put("--tls", new Option("", "encrypt the connection"));
    OPTIONS.put("--ca", new Option("FILE", "trust the authorities in this PEM file only; implies --tls"));
    OPTIONS.put("--api-key-file", new Option("FILE", "read the key from it; default: the variable ASR_API_KEY"));
    OPTIONS.put("--no-reconnect", new Option("", "end with the first error of a gateway"));
    OPTIONS.put("--help", new Option("", "show this text"));
  }

  private final Map<String, String> given = new LinkedHashMap<>();
  private final List<String> files = new ArrayList<>();

  static Arguments parse(List<String> arguments) throws Wrong {
    var result = new Arguments();
    var rest = arguments.iterator();
    while (rest.hasNext()) {
      String argument = rest.next();
      if (!argument.startsWith("--")) {
        result.files.add(argument);
        continue;
      }
      String[] parts = argument.split("=", 2);
      Option option = OPTIONS.get(parts[0]);
      if (option == null) {
        throw new Wrong("there is no option " + parts[0]);
      }
      boolean hasValue = parts.length == 2;
      if (option.isFlag() && hasValue) {
        throw new Wrong(parts[0] + " has no value");
      }
      if (!option.isFlag() && !hasValue && !rest.hasNext()) {
        throw new Wrong(parts[0] + " needs a value: " + option.value());
      }
      result.given.put(parts[0], hasValue ? parts[1] : option.isFlag() ? "" : rest.next());
    }
    if (result.files.isEmpty() && !result.has("--help")) {
      throw new Wrong("name at least one file");
    }
    result.rate();
    result.timeoutSeconds();
    return result;
  }

  static String help() {
    var text = new StringBuilder("""
        usage: asr-client-java [OPTION]... FILE...

        Sends WAV files at speaking speed, all at the same time, and prints one line for each final result; with more
        than one file it begins with the number of the file, from 0. The file - is raw 16-bit mono audio from standard
        input.

        """);
    OPTIONS.forEach(
        (name, option) -> text.append(String.format("  %-24s %s%n", name + " " + option.value(), option.help())));
    return text.toString();
  }

  List<String> files() {
    return files;
  }

  boolean has(String option) {
    return given.containsKey(option);
  }

  String get(String option, String otherwise) {
    return given.getOrDefault(option, otherwise);
  }

  int rate() throws Wrong {
    double rate = number("--rate", "16000");
    if (rate != Math.rint(rate) || rate < 4_000 || rate > 192_000) {
      throw new Wrong("--rate is from 4000 to 192000");
    }
    return (int) rate;
  }

  /** Seconds, or 0 without a limit. */
  double timeoutSeconds() throws Wrong {
    double seconds = number("--timeout", "0");
    if (!(seconds >= 0 && seconds <= 1e6)) {
      throw new Wrong("--timeout is from 0 to 1000000");
    }
    return seconds;
  }

  private double number(String option, String otherwise) throws Wrong {
    try {
      return Double.parseDouble(get(option, otherwise));
    } catch (NumberFormatException e) {
      throw new Wrong(option + " is a number");
    }
  }
}
