package timeline

import (
	"time"

	"bugcheck/report"
)

// session is one start of Windows and what was logged until the next.
type session struct {
	records []*record
	log     *record // event 6005: the event log has started, once a start
	kernel  *record // Kernel-General 12: the kernel has
	unclean *record // 41: there was no shutdown before
	sign    *record // 6008: when the last sign of life was
	stop    *record // 1001: there was a stop code before
	asked   *record // User32 1074: who shut it down
	closed  *record // 6006 or Kernel-General 13: the shutdown at its end
	booted  bool    // the log holds its beginning
}

// sessions divides the System log. The order is that of record numbers, not of time: at a
// start the clock may still be wrong, and what the last shutdown could not write any more
// is written then.
func (s *story) sessions() {
	current := &session{}
	s.starts = []*session{current}
	next := func() {
		current = &session{}
		s.starts = append(s.starts, current)
	}
	for i := range s.system {
		r := &s.system[i]
		if current.ends(r) {
			next()
		}
		current.take(r)
	}
}

// ends reports that a record cannot belong to this start any more: what comes once a
// start has come already, or the shutdown has and Windows starts.
func (c *session) ends(r *record) bool {
	switch {
	case r.is("eventlog", 6005):
		return c.log != nil
	case r.is("eventlog", 6008):
		return c.sign != nil || c.log != nil
	case r.is("eventlog", 6009): // comes right before 6005
		return c.log != nil
	case r.is("kernel-power", 41):
		return c.unclean != nil
	case r.is("kernel-general", 12):
		return c.kernel != nil
	case r.known.kind == report.EventStop:
		return c.stop != nil && *mustStop(c.stop) != *mustStop(r)
	}
	return false
}

func mustStop(r *record) *stop {
	p, _ := r.stop()
	return &p
}

func (c *session) take(r *record) {
	c.records = append(c.records, r)
	switch {
	case r.is("eventlog", 6005):
		c.log, c.booted = r, true
	case r.is("kernel-general", 12):
		c.kernel, c.booted = r, true
	case r.is("eventlog", 6008):
		c.sign, c.booted = r, true
	case r.is("kernel-power", 41):
		c.unclean, c.booted = r, true
	case r.known.kind == report.EventStop:
		c.stop, c.booted = r, true
	case r.is("eventlog", 6006), r.is("kernel-general", 13):
		c.closed = r
	case r.is("user32", 1074):
		c.asked = r
	}
}

// longestStart is how long before event 6005 the first events of a start can be.
const longestStart = 10 * time.Minute

// started is when Windows started, as well as the session tells: the first of its events.
// Event 6005 is written when the clock has been set; what is far from it has the time of a
// clock that was wrong.
func (c *session) started() *time.Time {
	var first *time.Time
	for _, r := range []*record{c.log, c.kernel, c.unclean, c.stop} {
		if r == nil || r.Time.IsZero() {
			continue
		}
		if t := r.Time; first == nil || t.Before(*first) && first.Sub(t) < longestStart {
			first = &t
		}
	}
	return first
}

// last is the time of the last record that is not left over from an earlier time.
func (c *session) last() *time.Time {
	var t *time.Time
	for _, r := range c.records {
		if !r.Time.IsZero() && (t == nil || r.Time.After(*t)) {
			at := r.Time
			t = &at
		}
	}
	return t
}

// boots lists the starts for the report.
func (s *story) boots() {
	for i, c := range s.starts {
		if !c.booted {
			continue
		}
		b := report.Boot{At: c.started()}
		if c.kernel != nil {
			b.Build = uint32(c.kernel.number("BuildVersion"))
		}
		if i+1 < len(s.starts) {
			clean := !s.starts[i+1].crashed()
			b.Clean = &clean
			if clean && c.asked != nil {
				b.By = c.asked.said.What
			}
			if end := c.last(); end != nil && b.At != nil && end.After(*b.At) {
				up := int64(end.Sub(*b.At).Seconds())
				b.Seconds = &up
			}
		}
		s.out.Boots = append(s.out.Boots, b)
	}
}

// crashed reports that the time before this start ended without a shutdown.
func (c *session) crashed() bool { return c.unclean != nil || c.sign != nil || c.stop != nil }
