import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.thrift.TBase;
import org.apache.thrift.TEnum;
import org.apache.thrift.TFieldIdEnum;
import org.apache.thrift.TUnion;
import org.apache.thrift.meta_data.FieldMetaData;

/** Writes Thrift structs as JSON: every field that is set, by its name in the interface. */
final class Json {
    private Json() {}

    static String of(Object value) {
        StringBuilder out = new StringBuilder();
        write(out, value);
        return out.toString();
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void write(StringBuilder out, Object value) {
        if (value == null) {
            out.append("null");
        } else if (value instanceof TUnion union) {
            Object field = union.getSetField();
            if (field == null) {
                out.append("{}");
                return;
            }
            out.append('{');
            text(out, ((TFieldIdEnum) field).getFieldName());
            out.append(':');
            write(out, union.getFieldValue());
            out.append('}');
        } else if (value instanceof TBase struct) {
            struct(out, struct);
        } else if (value instanceof TEnum constant) {
            out.append(constant.getValue());
        } else if (value instanceof Map map) {
            // Keys may be lists: pairs in the order of the key's JSON.
            TreeMap<String, Object> pairs = new TreeMap<>();
            for (Object entry : map.entrySet()) {
                pairs.put(of(((Map.Entry) entry).getKey()), ((Map.Entry) entry).getValue());
            }
            out.append('[');
            String comma = "";
            for (Map.Entry<String, Object> pair : pairs.entrySet()) {
                out.append(comma).append('[').append(pair.getKey()).append(',');
                write(out, pair.getValue());
                out.append(']');
                comma = ",";
            }
            out.append(']');
        } else if (value instanceof java.util.Set set) {
            TreeSet<String> members = new TreeSet<>();
            for (Object member : set) {
                members.add(of(member));
            }
            out.append('[').append(String.join(",", members)).append(']');
        } else if (value instanceof Collection list) {
            out.append('[');
            String comma = "";
            for (Object item : list) {
                out.append(comma);
                write(out, item);
                comma = ",";
            }
            out.append(']');
        } else if (value instanceof byte[] bytes) {
            text(out, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            text(out, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else {
            text(out, value.toString());
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void struct(StringBuilder out, TBase struct) {
        Map<? extends TFieldIdEnum, FieldMetaData> fields =
                (Map) FieldMetaData.getStructMetaDataMap((Class) struct.getClass());
        out.append('{');
        String comma = "";
        for (TFieldIdEnum field : fields.keySet()) {
            if (!struct.isSet(field)) {
                continue;
            }
            out.append(comma);
            text(out, field.getFieldName());
            out.append(':');
            write(out, struct.getFieldValue(field));
            comma = ",";
        }
        out.append('}');
    }

    private static void text(StringBuilder out, String value) {
        out.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
