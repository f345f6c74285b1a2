package symbols

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// TestShareAnswers: a share that does not answer is known within the time of a
// server, and asked once; one that does not exist has answered.
func TestShareAnswers(t *testing.T) {
	f, err := Open(Options{Wait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	hang := make(chan struct{})
	defer close(hang)
	var asked atomic.Int32
	dead := func(string) (os.FileInfo, error) {
		asked.Add(1)
		<-hang
		return nil, nil
	}
	start := time.Now()
	for range 3 {
		missing := &NotFoundError{}
		missing.add(f.shareAnswers(ctx, `\\dead\share`, dead))
		if len(missing.Unreachable) != 1 || missing.Unreachable[0] != `\\dead\share` {
			t.Errorf("got %+v", missing)
		}
	}
	if took := time.Since(start); took > time.Second || asked.Load() != 1 {
		t.Errorf("known after %v, asked %d times", took, asked.Load())
	}
	gone := func(string) (os.FileInfo, error) { return nil, fs.ErrNotExist }
	if err := f.shareAnswers(ctx, `\\alive\gone`, gone); err != nil {
		t.Errorf("a share that is not there: %v", err)
	}
	cancelled, stop := context.WithCancel(ctx)
	stop()
	f.opts.Wait = time.Hour
	if err := f.shareAnswers(cancelled, `\\late\share`, dead); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
