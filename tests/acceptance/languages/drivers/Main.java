import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

public class Main {
    static String text(String[] fields, int index) {
        return index < fields.length
            ? new String(HexFormat.of().parseHex(fields[index]), StandardCharsets.UTF_8) : null;
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] fields = line.split(" ");
            System.out.println(Signer.sign(ARGUMENTS));
        }
    }
}
