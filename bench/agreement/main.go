// Command agreement measures how often Judge and the debugger agree on facts
// taken from published debugger logs: image, failure bucket and hash.
//
//	go run ./bench/agreement [FILE]
//
// FILE holds one JSON object a line; the default is the corpus beside the
// repository. Cases whose facts are complete and others are counted apart.
package main

import (
	"flag"
	"fmt"
	"os"

	"bugcheck/bench/agreement/logs"
)

func main() {
	flag.Parse()
	file := logs.DefaultFile()
	if flag.NArg() > 0 {
		file = flag.Arg(0)
	}
	cases, err := logs.Read(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "agreement:", err)
		os.Exit(1)
	}
	logs.Compare(cases).Print(os.Stdout)
}
