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

// Result is a comparison over all cases.
type Result struct {
	Complete, Rest Scores
	ByCode         map[string]*Scores // complete and others together
	Differences    []string
	// HashDifferences are cases whose bucket is equal but whose hash is not: there
	// must be none.
	HashDifferences []string
}

// Compare asks Judge about every case.
func Compare(cases []Case) Result {
	r := Result{ByCode: map[string]*Scores{}}
	for _, c := range cases {
		v := analyze.Judge(c.Facts())
		all := &r.Rest
		if c.Complete {
			all = &r.Complete
		}
		code := r.ByCode[c.Code]
		if code == nil {
			code = &Scores{}
			r.ByCode[c.Code] = code
		}
		r.one(c, v, all, code)
	}
	sort.Strings(r.Differences)
	return r
}

func (r *Result) one(c Case, v report.Verdict, sets ...*Scores) {
	for _, s := range sets {
		if c.Image != nil {
			s.Image.add(sameImage(v.Image, *c.Image))
		}
		if c.Bucket != nil {
			s.Bucket.add(v.Bucket == *c.Bucket)
		}
		if c.Hash != nil {
			s.Hash.add(v.BucketHash == *c.Hash)
		}
	}
	if c.Bucket != nil && c.Hash != nil && v.Bucket == *c.Bucket && v.BucketHash != *c.Hash {
		r.HashDifferences = append(r.HashDifferences, fmt.Sprintf("%s: bucket %s: hash %s, the debugger has %s", c.ID, v.Bucket, v.BucketHash, *c.Hash))
	}
	mark := "other   "
	if c.Complete {
		mark = "complete"
	}
	if c.Image != nil && !sameImage(v.Image, *c.Image) {
		r.Differences = append(r.Differences, fmt.Sprintf("%s %s: image %q, the debugger has %q", mark, c.ID, v.Image, *c.Image))
	}
	if c.Bucket != nil && v.Bucket != *c.Bucket {
		r.Differences = append(r.Differences, fmt.Sprintf("%s %s: bucket %q, the debugger has %q", mark, c.ID, v.Bucket, *c.Bucket))
	}
}

// Print writes scores by stop code, every difference, and the totals; the last
// line is that of the complete cases.
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
	fmt.Fprintln(w, "others:  ", r.Rest)
	fmt.Fprintln(w, "complete:", r.Complete)
}
