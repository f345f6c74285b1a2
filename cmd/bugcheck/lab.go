package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bugcheck/lab"
	"bugcheck/lab/code"
)

func labCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Crash invented machines: dumps to learn and to test with",
		Long: `The fault lab plays what NotMyFault does, and more, on a Windows machine that is
invented but exact, and writes the dump that Windows would have left. Nothing is
crashed and nothing is read from this machine.`,
	}
	cmd.AddCommand(labListCommand(), labMakeCommand(), labWeekCommand(), labExerciseCommand())
	return cmd
}

func labListCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the faults that the lab plays",
		Example: "  bugcheck lab list\n  bugcheck lab list --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch format {
			case "json":
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(lab.Kinds())
			case "text":
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, k := range lab.Kinds() {
					fmt.Fprintf(w, "%s\t%s\t%s\n", k.Name, k.Code, k.Shows)
				}
				return w.Flush()
			}
			return fmt.Errorf("--format %q: the formats are text, json", format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "output: text, json")
	return cmd
}

// labFlags say which machine crashes, and what is written of it.
type labFlags struct {
	arch, dump, memory, output, symbols, truth, events, release, flip string
	build                                                             int
}

func (f *labFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.arch, "arch", "x64", "architecture: x64, arm64")
	cmd.Flags().IntVar(&f.build, "build", 0, "build of Windows: "+builds("x64")+"; arm64: "+builds("arm64")+" (default: 17763, arm64 26100)")
	cmd.Flags().StringVar(&f.memory, "memory", "4GiB", "memory of the machine; the file is sparse, so much of it costs nothing")
	cmd.Flags().StringVar(&f.dump, "dump", "kernel", "kind of dump: "+strings.Join(lab.DumpKinds(), ", "))
}

func builds(arch string) string {
	var list []string
	for _, b := range code.Builds(arch) {
		list = append(list, strconv.Itoa(b))
	}
	return strings.Join(list, ", ")
}

// play lets the machine crash.
func (f *labFlags) play(kind string) (*lab.Crash, error) {
	memory, err := parseSize(f.memory)
	if err != nil {
		return nil, fmt.Errorf("--memory %q: %w", f.memory, err)
	}
	build := f.build
	switch {
	case build != 0:
	case f.arch == "arm64":
		build = 26100
	default:
		build = 17763
	}
	return lab.Play(kind, lab.Options{Arch: f.arch, Build: build, Memory: memory, Flip: f.flip})
}

func labMakeCommand() *cobra.Command {
	var flags labFlags
	cmd := &cobra.Command{
		Use:   "make KIND -o FILE",
		Short: "Write the dump of an invented machine that a fault has crashed",
		Long: `Make plays a fault (see lab list) on an invented machine and writes its dump.
--symbols writes the machine's images and symbol files as a symbol store, which
--symbols of analyze reads; --truth writes what an analysis must find, in the
names of the report's fields; --events writes the event log of that machine.`,
		Example: `  bugcheck lab make high-irql-kernel --dump kernel -o MEMORY.DMP
  bugcheck lab make stack-trash --dump full --memory 64GiB --build 20348 -o full.dmp
  bugcheck lab make double-free --arch arm64 --dump small -o small.dmp --symbols sym --truth truth.json
  bugcheck lab make receive-ring --flip pointer -o flipped.dmp`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runLabMake(args[0], &flags) },
	}
	flags.register(cmd)
	cmd.Flags().StringVarP(&flags.output, "output", "o", "", "write the dump to `FILE`")
	cmd.Flags().StringVar(&flags.symbols, "symbols", "", "write images and symbol files into `DIR`")
	cmd.Flags().StringVar(&flags.flip, "flip", "", "let the machine's hardware flip a bit: code, pointer, pte (of receive-ring)")
	cmd.Flags().StringVar(&flags.truth, "truth", "", "write what an analysis must find to `FILE`")
	cmd.Flags().StringVar(&flags.events, "events", "", "write the System log that Windows would have left to `FILE`")
	cmd.Flags().StringVar(&flags.release, "release", "", "release of Windows Server that writes the log: "+strings.Join(lab.Releases(), ", ")+" (default: that of --build)")
	return cmd
}

func runLabMake(kind string, f *labFlags) error {
	if f.output == "" {
		return fmt.Errorf("-o FILE says where to write the dump")
	}
	c, err := f.play(kind)
	if err != nil {
		return err
	}
	if err := writeDump(c, f.output, f.dump); err != nil {
		return failed(err)
	}
	if f.symbols != "" {
		if err := c.WriteSymbols(f.symbols); err != nil {
			return failed(err)
		}
	}
	if f.events != "" {
		if err := writeEventLog(c, f.release, f.events); err != nil {
			return err
		}
	}
	if f.truth == "" {
		return nil
	}
	b, err := json.MarshalIndent(c.TruthOf(f.dump), "", "  ")
	if err == nil {
		err = os.WriteFile(f.truth, append(b, '\n'), 0o644)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

func labWeekCommand() *cobra.Command {
	var release, truth string
	cmd := &cobra.Command{
		Use:   "week DIR",
		Short: "Write the dumps and event logs of an invented server's bad week",
		Long: `Week writes a folder as support people get it: three crashes of two causes, one
without a dump, event logs of which one was archived, a clock that was set.
bugcheck case DIR tells its story; --truth writes what that must say.`,
		Example: "  bugcheck lab week incident && bugcheck case incident",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w, err := lab.PlayWeek(release)
			if err != nil {
				return err
			}
			if err := writeWeek(w, args[0], truth); err != nil {
				return failed(err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&release, "release", "2025", "release of Windows Server that writes the logs: "+strings.Join(lab.Releases(), ", "))
	cmd.Flags().StringVar(&truth, "truth", "", "write what the story must say to `FILE`")
	return cmd
}

func writeWeek(w *lab.Week, dir, truth string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i, c := range w.Crashes {
		if err := writeDump(c, filepath.Join(dir, w.Dumps[i]), "small"); err != nil {
			return err
		}
	}
	for name, b := range w.Logs {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	if truth == "" {
		return nil
	}
	b, err := json.MarshalIndent(w.Truth, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(truth, append(b, '\n'), 0o644)
}

// writeEventLog writes the event log of a crash to a file.
func writeEventLog(c *lab.Crash, release, name string) error {
	b, err := c.Events(release)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return failed(err)
	}
	return nil
}

// writeDump writes a crash's dump to a file.
func writeDump(c *lab.Crash, name, kind string) error {
	file, err := os.Create(name)
	if err != nil {
		return plainError(err)
	}
	err = c.Write(file, kind)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}

// parseSize reads a size as people write it: 512MiB, 4GiB, 64G.
func parseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "KMGTiBkmgt")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("sizes look like 4GiB")
	}
	shift, ok := map[string]uint{"K": 10, "M": 20, "G": 30, "T": 40}[strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s[len(digits):]), "B"), "I")]
	if !ok {
		return 0, fmt.Errorf("sizes look like 4GiB")
	}
	return n << shift, nil
}
