package timeline

import (
	"path"
	"strings"
	"time"

	"bugcheck/report"
	"bugcheck/win"
)

// reportsOfWER ties the reports of Windows Error Reporting, from the Application log, to
// the incidents with the same stop code and parameters.
func (s *story) reportsOfWER() {
	for i := range s.other {
		r := &s.other[i]
		if r.known.kind != report.EventReport {
			continue
		}
		w := r.wer()
		if !strings.EqualFold(w.name, "BlueScreen") {
			continue
		}
		n := s.reported(r, w.stop)
		if n < 0 {
			continue
		}
		in := &s.out.Incidents[n]
		in.Records = append(in.Records, *r.said)
		in.Bucket = w.bucket
		if in.ReportID == "" {
			in.ReportID = w.id
		}
	}
}

// reported is the crash that a report is of: the last one with its stop code and
// parameters that Windows had restarted from by then.
func (s *story) reported(r *record, p stop) int {
	best := -1
	for n, c := range s.crashes {
		if c.stop == nil || s.out.Incidents[n].Bucket != "" || !same(*c.stop, p) {
			continue
		}
		if early := c.RestartedAt != nil && !r.Time.IsZero() && r.Time.Before(c.RestartedAt.Add(-slack)); best < 0 || !early {
			best = n
		}
	}
	return best
}

// same compares stop codes and parameters; some events write a code without the bit that
// marks a small dump's.
func same(a, b stop) bool {
	return win.BaseCode(a.code) == win.BaseCode(b.code) && a.parameters == b.parameters
}

// dumps ties every dump to its crash.
func (s *story) dumps(reports []*report.Report) {
	for _, r := range reports {
		if r.Bugcheck == nil {
			continue
		}
		if n, how := s.find(r); n >= 0 {
			in := &s.out.Incidents[n]
			verdict := r.Verdict
			in.Dumps = append(in.Dumps, report.IncidentDump{File: r.Dump.File, Verdict: &verdict, Tied: how})
			s.refine(in, r)
			continue
		}
		if len(s.out.Logs) > 0 {
			s.note(r.Dump.File, report.T("No event tells of the crash of this dump: the log may have been overwritten or cleared, or be another machine's."))
		}
	}
	for i := range s.out.Incidents {
		in := &s.out.Incidents[i]
		if in.Kind == report.IncidentStop && len(in.Dumps) == 0 && in.NoDump.IsZero() && len(reports) > 0 {
			in.NoDump = report.T("Its dump is not among the files given; Windows saved it as %s.", in.DumpPath)
		}
	}
}

// Of is what event logs tell of the crash of one dump; nil if nothing. A note in the
// report says so.
func Of(logs []*Log, r *report.Report, lang win.Lang) *report.Incident {
	e := Tell(logs, []*report.Report{r}, Options{Lang: lang})
	for i := range e.Incidents {
		if len(e.Incidents[i].Dumps) > 0 {
			e.Incidents[i].Dumps = nil // it is the report's own
			return &e.Incidents[i]
		}
	}
	r.Notes = append(r.Notes, report.Note{Where: "event log", Text: report.T("No event tells of the crash of this dump: the log may have been overwritten or cleared, or be another machine's.")})
	return nil
}

// find is the incident that a dump is of: the same code and parameters, and where several
// have those, the nearest in time. Where no parameters agree, the time alone decides
// nothing.
func (s *story) find(r *report.Report) (int, report.Text) {
	p := stop{code: uint32(r.Bugcheck.Code)}
	for i, v := range r.Bugcheck.Parameters {
		if i < len(p.parameters) {
			p.parameters[i] = uint64(v.Value)
		}
	}
	best, gap := -1, time.Duration(0)
	var how report.Text
	for n, c := range s.crashes {
		if c.stop == nil || win.BaseCode(c.stop.code) != win.BaseCode(p.code) {
			continue
		}
		g, timed := c.gap(r)
		equal := same(*c.stop, p)
		switch {
		case equal && timed && g < dayApart, equal && !timed:
			if best < 0 || g < gap {
				best, gap, how = n, g, report.T("stop code, parameters and time")
			}
			if !timed {
				how = report.T("stop code and parameters")
			}
		case timed && g < minutesApart && fewParameters(*c.stop) && (best < 0 || g < gap):
			best, gap, how = n, g, report.T("stop code and time; the event has no parameters")
		}
	}
	return best, how
}

const (
	dayApart     = 36 * time.Hour // a clock that keeps local time, and a start much later
	minutesApart = 15 * time.Minute
)

// fewParameters: event 41 on some machines has the code alone.
func fewParameters(p stop) bool { return p.parameters == [4]uint64{} }

// gap is how far a dump's time is from the incident's; false where either is unknown.
func (c *crash) gap(r *report.Report) (time.Duration, bool) {
	if r.System == nil || r.System.CrashedAt == nil || c.At == nil {
		return 0, false
	}
	at := *r.System.CrashedAt
	if c.RestartedAt != nil && at.After(*c.At) && at.Before(*c.RestartedAt) {
		return 0, true
	}
	return at.Sub(*c.At).Abs(), true
}

// refine takes over the dump's time, which is that of the crash itself.
func (s *story) refine(in *report.Incident, r *report.Report) {
	if r.System != nil && r.System.CrashedAt != nil && in.AtTrust != "" && len(in.Dumps) == 1 {
		in.At, in.AtTrust, in.AtSource = r.System.CrashedAt, report.Recorded, report.T("the dump %s", path.Base(r.Dump.File))
	}
	in.NoDump = report.Text{}
}
