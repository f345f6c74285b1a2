package symbols

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// download brings one file from a server into a temporary file. A connection
// that is cut is taken up where it broke.
type download struct {
	server *server
	f      *Finder
	path   string
	name   string // for Options.Progress
	limit  int64  // bytes

	temp string // where it is, after to
	file *os.File
	done int64  // bytes that are whole
	tag  string // what the server calls this version of the file
}

const (
	maxAttempts = 3  // in a row that bring nothing
	maxResumes  = 20 // in all
	slower      = 5  // times Options.Wait: a server that has answered once may take longer
	pausesAWait = 8  // the first pause is this part of Options.Wait, the next four times as long
)

// to downloads into a temporary file of a store, which is gone if this fails.
func (d *download) to(ctx context.Context, sink *treeStore) error {
	var result error
	for attempt, tries := 0, 0; attempt < maxAttempts && tries < maxResumes; attempt, tries = attempt+1, tries+1 {
		if attempt > 0 && !pause(ctx, d.f.opts.Wait/pausesAWait<<(2*(attempt-1))) {
			result = ctx.Err()
			break
		}
		before := d.done
		again, err := d.try(ctx, sink)
		result = err
		if !again || ctx.Err() != nil {
			break
		}
		if d.done > before {
			attempt = -1
		}
	}
	return d.finish(ctx, result)
}

// pause sleeps; false if it was interrupted.
func pause(ctx context.Context, t time.Duration) bool {
	select {
	case <-time.After(t):
		return true
	case <-ctx.Done():
		return false
	}
}

// finish closes the file, and removes it after an error.
func (d *download) finish(ctx context.Context, err error) error {
	if d.file != nil {
		if closeErr := d.file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(d.temp)
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// try makes one request; again says that a further one may help.
func (d *download) try(ctx context.Context, sink *treeStore) (again bool, err error) {
	wait := d.f.opts.Wait * slower
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(wait, func() { cancel(fmt.Errorf("%w for %v", errNoAnswer, wait)) })
	defer stall.Stop()
	resp, err := d.server.get(ctx, d.f, d.path, d.header())
	if err != nil {
		return true, &unreachableError{d.server.shown, plainNetError(ctx, err)}
	}
	defer resp.Body.Close()
	if again, err := d.status(resp); err != nil {
		drain(resp)
		return again, err
	}
	if d.file == nil {
		if d.file, err = sink.temp(); err != nil {
			return false, fmt.Errorf("cache: %w", err)
		}
		d.temp = d.file.Name()
	}
	return d.body(ctx, resp, func() { stall.Reset(wait) })
}

// maxDrained is how much of a page that nobody needs is read, so that the
// connection can be used again, bytes.
const maxDrained = 64 << 10

func drain(resp *http.Response) { _, _ = io.CopyN(io.Discard, resp.Body, maxDrained) }

// header asks for what is missing, if the file is still the same.
func (d *download) header() http.Header {
	h := http.Header{}
	if d.done == 0 || d.tag == "" {
		h.Set("Accept-Encoding", "gzip")
		return h
	}
	h.Set("Accept-Encoding", "identity")
	h.Set("Range", "bytes="+strconv.FormatInt(d.done, 10)+"-")
	h.Set("If-Range", d.tag)
	return h
}

// status reads the first line of an answer.
func (d *download) status(resp *http.Response) (again bool, err error) {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return false, d.restart()
	case code == http.StatusPartialContent:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(d.done, 10)+"-") {
			return true, errors.Join(d.restart(), fmt.Errorf("%s: another part than was asked for", d.server.shown))
		}
		return false, nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return false, errNotHere
	case code == http.StatusRequestedRangeNotSatisfiable:
		return true, errors.Join(d.restart(), fmt.Errorf("%s: HTTP status %d", d.server.shown, code))
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return true, &unreachableError{d.server.shown, fmt.Errorf("HTTP status %d", code)}
	default:
		return false, fmt.Errorf("%s: HTTP status %d", d.server.shown, code)
	}
}

// restart forgets what has come.
func (d *download) restart() error {
	d.done, d.tag = 0, ""
	if d.file == nil {
		return nil
	}
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	_, err := d.file.Seek(0, io.SeekStart)
	return err
}

// body writes what comes. A packed body cannot be taken up in its middle.
func (d *download) body(ctx context.Context, resp *http.Response, alive func()) (again bool, err error) {
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = d.done + resp.ContentLength
	}
	counted := &countingReader{r: resp.Body, alive: alive, server: d.server}
	in, packed := io.Reader(counted), resp.Header.Get("Content-Encoding") == "gzip"
	if packed {
		total = -1
		if in, err = gzip.NewReader(counted); err != nil {
			return true, errors.Join(d.restart(), err)
		}
	} else if d.tag == "" {
		d.tag = versionTag(resp.Header)
	}
	n, err := d.copy(in, total)
	d.done += n
	switch {
	case errors.Is(err, errWrite) || errors.Is(err, errTooLong):
		return false, err
	case err == nil:
		return false, nil
	case packed || d.tag == "":
		err = errors.Join(err, d.restart())
	}
	return true, &unreachableError{d.server.shown, plainNetError(ctx, err)}
}

// versionTag names the version of a file in a way that If-Range takes.
func versionTag(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

var (
	errWrite   = errors.New("cache")
	errTooLong = errors.New("the file is larger than allowed")
)

// copy writes to the file, and tells how far it is.
func (d *download) copy(in io.Reader, total int64) (n int64, err error) {
	b := make([]byte, 256<<10)
	for {
		got, err := in.Read(b)
		if d.done+n+int64(got) > d.limit {
			return n, fmt.Errorf("%s: %w", d.server.shown, errTooLong)
		}
		if got > 0 {
			if _, err := d.file.Write(b[:got]); err != nil {
				return n, fmt.Errorf("%w: %w", errWrite, err)
			}
			n += int64(got)
			if d.f.opts.Progress != nil {
				d.f.opts.Progress(d.name, d.done+n, total)
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// countingReader counts what a server sends, and says that it is alive.
type countingReader struct {
	r      io.Reader
	alive  func()
	server *server
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.alive()
		c.server.mu.Lock()
		c.server.stats.Bytes += int64(n)
		c.server.mu.Unlock()
	}
	return n, err
}
