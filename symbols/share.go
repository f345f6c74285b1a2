package symbols

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// share is the verdict on a folder of another machine: \\server\share. Windows
// may wait half a minute for one that does not answer, at every touch.
type share struct {
	known chan struct{}
	err   error
}

// placeOf is where a store lies in the file system; "" for a server.
func placeOf(s store) string {
	switch s := s.(type) {
	case *treeStore:
		return s.dir
	case *folder:
		return s.dir
	case *pack:
		return s.path
	}
	return ""
}

// answers waits, at most as long as for a server, until it is known whether the
// machine that a store lies on answers. Each is asked once.
func (f *Finder) answers(ctx context.Context, s store) error {
	place := placeOf(s)
	if !strings.HasPrefix(place, `\\`) || !filepath.IsAbs(place) {
		return nil
	}
	return f.shareAnswers(ctx, place, os.Stat)
}

func (f *Finder) shareAnswers(ctx context.Context, place string, stat func(string) (os.FileInfo, error)) error {
	f.listMu.Lock()
	v := f.shares[place]
	if v == nil {
		v = &share{known: make(chan struct{})}
		f.shares[place] = v
		answered := make(chan struct{})
		go func() {
			_, _ = stat(place) // that it is not there is an answer, too
			close(answered)
		}()
		go v.judge(answered, place, f.opts.Wait)
	}
	f.listMu.Unlock()
	select {
	case <-v.known:
		return v.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *share) judge(answered chan struct{}, place string, wait time.Duration) {
	defer close(v.known)
	select {
	case <-answered:
	case <-time.After(wait):
		v.err = &unreachableError{place, fmt.Errorf("%w within %v", errNoAnswer, wait)}
	}
}
