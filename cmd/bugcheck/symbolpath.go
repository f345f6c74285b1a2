package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"bugcheck/symbols"
)

// microsoft is the public symbol server for Windows.
const microsoft = "https://msdl.microsoft.com/download/symbols"

// symbolFlags say where symbols and images come from.
type symbolFlags struct {
	path    string
	offline bool
}

func (s *symbolFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.path, "symbols", "", "symbol `PATH`, or a pack (default: $_NT_SYMBOL_PATH, else Microsoft's server)")
	cmd.Flags().BoolVar(&s.offline, "offline", false, "ask no symbol server")
}

// finder opens the symbol path: --symbols, else _NT_SYMBOL_PATH, else Microsoft's
// server with a cache of the user's; _NT_ALT_SYMBOL_PATH is appended. On Windows
// the machine's own drivers serve as images.
func (s *symbolFlags) finder(progress func(name string, done, total int64)) (*symbols.Finder, error) {
	cache := cacheFolder()
	path := s.path
	if path == "" {
		path = os.Getenv("_NT_SYMBOL_PATH")
	}
	if path == "" {
		path = "srv*" + cache + "*" + microsoft
	}
	if more := os.Getenv("_NT_ALT_SYMBOL_PATH"); more != "" {
		path += ";" + more
	}
	f, err := symbols.Open(symbols.Options{
		Path: path, Cache: cache, Images: ownImages(), Offline: s.offline, Now: time.Now(), Progress: progress,
		Tokens: tokens(os.Getenv("BUGCHECK_SYMBOL_TOKENS")),
	})
	if err != nil {
		return nil, err // it names the element, without passwords
	}
	return f, nil
}

// tokens reads HOST=TOKEN, more of them parted by commas: bearer tokens of symbol
// servers. They stand in the environment, since other users see command lines.
func tokens(list string) map[string]string {
	byHost := map[string]string{}
	for item := range strings.SplitSeq(list, ",") {
		if host, token, ok := strings.Cut(item, "="); ok {
			byHost[strings.TrimSpace(host)] = strings.TrimSpace(token)
		}
	}
	return byHost
}

// cacheFolder is where downloads are kept.
func cacheFolder() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "bugcheck", "symbols")
}

// ownImages are the folders with this machine's drivers, if it runs Windows.
func ownImages() []string {
	root := os.Getenv("SystemRoot")
	if root == "" {
		return nil
	}
	system := filepath.Join(root, "System32")
	return []string{filepath.Join(system, "drivers"), system}
}

// downloads shows a bar for each file that comes in.
type downloads struct {
	mu   sync.Mutex
	all  *mpb.Progress
	bars map[string]*mpb.Bar
	out  io.Writer
}

// progress is nil where nobody sees the bars.
func (d *downloads) progress() func(name string, done, total int64) {
	if !progressOn() {
		return nil
	}
	return d.show
}

func (d *downloads) show(name string, done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all, d.bars = mpb.New(mpb.WithOutput(d.out), mpb.WithWidth(40)), map[string]*mpb.Bar{}
	}
	bar := d.bars[name]
	if bar == nil {
		bar = d.all.AddBar(max(total, 0), mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")))
		d.bars[name] = bar
	}
	if total > 0 {
		bar.SetTotal(total, false)
	}
	bar.SetCurrent(done)
}

// finish takes the bars away.
func (d *downloads) finish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		return
	}
	for _, bar := range d.bars {
		bar.Abort(true)
	}
	d.all.Wait()
	d.all = nil
}
