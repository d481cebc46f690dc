fun text(fields: List<String>, index: Int): String =
    if (index < fields.size) {
        String(fields[index].chunked(2).map { it.toInt(16).toByte() }.toByteArray(), Charsets.UTF_8)
    } else {
        ""
    }

fun main() {
    while (true) {
        val fields = (readLine() ?: break).split(" ")
        println(sign(ARGUMENTS))
    }
}
