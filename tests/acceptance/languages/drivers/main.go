package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"languages/signing"
)

func text(fields []string, index int) string {
	if index >= len(fields) {
		return ""
	}
	decoded, err := hex.DecodeString(fields[index])
	if err != nil {
		panic(err)
	}
	return string(decoded)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), " ")
		fmt.Println(signing.Sign(ARGUMENTS))
	}
}
