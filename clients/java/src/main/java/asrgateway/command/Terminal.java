package asrgateway.command;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * Standard output for final results and standard error for the rest. On a terminal the text so far is redrawn in its
 * last line.
 */
final class Terminal {

  private static final int COLUMNS = 79;

  // UTF-8 whatever the locale is: Java would print question marks in place of Chinese.
  private final PrintStream out = stream(FileDescriptor.out);
  private final PrintStream err = stream(FileDescriptor.err);
  private final boolean isTerminal = System.console() != null;
  private String live = "";

  private static PrintStream stream(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
  }

  synchronized void result(String prefix, String text) {
    line(out, prefix + printable(text));
  }

  synchronized void note(String text) {
    line(err, printable(text));
  }

  /** Writes a complaint of the program itself. */
  void complain(String text) {
    note("asr-client-java: " + text);
  }

  synchronized void interim(String text) {
    show(last(printable(text), COLUMNS));
  }

  private void line(PrintStream stream, String text) {
    show("");
    stream.println(text);
  }

  /** Replaces the live line; blanks overwrite the rest of a longer one. */
  private void show(String text) {
    if (isTerminal && !text.equals(live)) {
      err.print("\r" + " ".repeat(width(live)) + "\r" + text);
      err.flush();
      live = text;
    }
  }

  /** Replaces what would move the cursor by blanks. */
  static String printable(String text) {
    return text.codePoints()
        .map(c -> Character.isISOControl(c) ? ' ' : c)
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  /** Returns the end of a text, where the newest words are, in at most so many columns. */
  static String last(String text, int columns) {
    if (width(text) <= columns) {
      return text;
    }
    int start = text.length();
    for (int left = columns - 1; start > 0; ) {
      int character = text.codePointBefore(start);
      left -= width(character);
      if (left < 0) {
        break;
      }
      start -= Character.charCount(character);
    }
    return "…" + text.substring(start);
  }

  static int width(String text) {
    return text.codePoints().map(Terminal::width).sum();
  }

  private static int width(int character) {
    if (Character.getType(character) == Character.NON_SPACING_MARK) {
      return 0;
    }
    boolean isWidePunctuation = character >= 0x3000 && character < 0x3040 || character >= 0xFF00 && character < 0xFF61;
    return isWidePunctuation
        ? 2
        : switch (Character.UnicodeScript.of(character)) {
          case HAN, HANGUL, HIRAGANA, KATAKANA -> 2;
          default -> 1;
        };
  }
}
