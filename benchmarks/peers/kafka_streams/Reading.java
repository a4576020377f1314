import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.LocalDateTime;
import java.time.ZoneOffset;

/** What windows need of a record. */
record Reading(long timeMs, double value) {
    private static final JsonFactory JSON = new JsonFactory();

    /** Parses a record, with its keys in any order. */
    static Reading of(byte[] json) {
        long timeMs = 0;
        double value = 0;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
                parser.nextToken();
                if (name.equals("timestamp")) {
                    timeMs = LocalDateTime.parse(parser.getText()).toInstant(ZoneOffset.UTC).toEpochMilli();
                } else if (name.equals("value")) {
                    value = parser.getDoubleValue();
                } else {
                    parser.skipChildren();
                }
            }
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
        return new Reading(timeMs, value);
    }
}
