package logs

import (
	"fmt"
	"io"
	"sort"

	"bugcheck/analyze"
	"bugcheck/report"
)

// Score counts how often an answer was equal, of how many that have one.
type Score struct{ Equal, Of int }

func (s *Score) add(equal bool) {
	s.Of++
	if equal {
		s.Equal++
	}
}

func (s Score) String() string { return fmt.Sprintf("%d/%d", s.Equal, s.Of) }

// Scores are those of a set of cases.
type Scores struct{ Image, Bucket, Hash Score }

func (s Scores) String() string {
	return fmt.Sprintf("image %v bucket %v hash %v", s.Image, s.Bucket, s.Hash)
}

// add counts one case. Buckets count as equal only letter by letter.
func (s *Scores) add(c Case, v report.Verdict) {
	if c.Image != nil {
		s.Image.add(analyze.SameImage(v.Image, *c.Image))
	}
	if c.Bucket != nil {
		s.Bucket.add(v.Bucket == *c.Bucket)
	}
	if c.Hash != nil {
		s.Hash.add(v.BucketHash == *c.Hash)
	}
}

// Result is a comparison over all cases.
type Result struct {
	Complete, Rest Scores
	Modern         Scores             // of the complete cases, those of debuggers of today
	Older          Score              // of the others with a bucket: equal, or equal once ours is written in the old form
	ByCode         map[string]*Scores // complete and others together
	Reasons        map[string]int     // how often each reason stands behind a difference of a complete case
	Differences    []string
	// HashDifferences are cases whose bucket is equal but whose hash is not: there
	// must be none.
	HashDifferences []string
}

// Compare asks Judge about every case.
func Compare(cases []Case) Result {
	r := Result{ByCode: map[string]*Scores{}, Reasons: map[string]int{}}
	for _, c := range cases {
		r.one(c)
	}
	sort.Strings(r.Differences)
	return r
}

func (r *Result) one(c Case) {
	l := c.Log()
	f := analyze.LogFacts(l)
	v := analyze.Judge(f)
	reason := analyze.Difference(l, &f, &v)
	if r.ByCode[c.Code] == nil {
		r.ByCode[c.Code] = &Scores{}
	}
	r.ByCode[c.Code].add(c, v)
	if c.Bucket != nil && c.Hash != nil && v.Bucket == *c.Bucket && v.BucketHash != *c.Hash {
		r.HashDifferences = append(r.HashDifferences, fmt.Sprintf("%s: bucket %s: hash %s, the debugger has %s", c.ID, v.Bucket, v.BucketHash, *c.Hash))
	}
	if !c.Complete {
		r.Rest.add(c, v)
		r.differs("other   ", c, v, reason)
		return
	}
	r.Complete.add(c, v)
	switch {
	case c.Modern():
		r.Modern.add(c, v)
	case c.Bucket != nil:
		r.Older.add(reason == analyze.SameAnswer || reason == analyze.OldForm)
	}
	if reason != analyze.SameAnswer {
		r.Reasons[reason]++
	}
	r.differs("complete", c, v, reason)
}

// differs keeps what to print of a case that differs.
func (r *Result) differs(mark string, c Case, v report.Verdict, reason string) {
	line := func(what, ours, theirs string) {
		r.Differences = append(r.Differences, fmt.Sprintf("%s %s: %s %q, the debugger has %q (%s)", mark, c.ID, what, ours, theirs, reason))
	}
	if c.Image != nil && !analyze.SameImage(v.Image, *c.Image) {
		line("image", v.Image, *c.Image)
	}
	if c.Bucket != nil && v.Bucket != *c.Bucket {
		line("bucket", v.Bucket, *c.Bucket)
	}
}

// Print writes scores by stop code, every difference with its reason, and the
// totals; the last line is that of the complete cases.
func (r Result) Print(w io.Writer) {
	codes := make([]string, 0, len(r.ByCode))
	for c := range r.ByCode {
		codes = append(codes, c)
	}
	sort.Slice(codes, func(i, j int) bool { return number(codes[i]) < number(codes[j]) })
	for _, c := range codes {
		fmt.Fprintf(w, "%-12s %v\n", c, *r.ByCode[c])
	}
	fmt.Fprintln(w)
	for _, d := range r.Differences {
		fmt.Fprintln(w, d)
	}
	fmt.Fprintln(w)
	reasons := make([]string, 0, len(r.Reasons))
	for reason := range r.Reasons {
		reasons = append(reasons, reason)
	}
	sort.Strings(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(w, "complete cases that differ, %s: %d\n", reason, r.Reasons[reason])
	}
	fmt.Fprintln(w, "others:  ", r.Rest)
	fmt.Fprintln(w, "older:    bucket, written in their form:", r.Older)
	fmt.Fprintln(w, "modern:  ", r.Modern)
	fmt.Fprintln(w, "complete:", r.Complete)
}
