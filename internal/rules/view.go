package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"cel.dev/cel-go/common/types"

	"bugcheck/report"
)

// view is a report as its JSON has it: objects are maps, numbers int64, and what is
// null is absent.
type view map[string]any

// viewOf is the view of a report. Its sentences are in English, whatever the
// language of the output, so that a rule means the same everywhere.
func viewOf(r *report.Report) (view, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return decodeView(b)
}

func decodeView(b []byte) (view, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("not a report in JSON: %w", err)
	}
	object, ok := plain(tree).(map[string]any)
	if !ok {
		return nil, errors.New("not a report in JSON: no object")
	}
	return view(object), nil
}

// plain turns numbers into int64 and drops nulls and numbers that are no integers:
// the contract has none.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		return nil
	case []any:
		list := make([]any, 0, len(v))
		for _, e := range v {
			if e = plain(e); e != nil {
				list = append(list, e)
			}
		}
		return list
	case map[string]any:
		for name, e := range v {
			if e = plain(e); e == nil {
				delete(v, name)
			} else {
				v[name] = e
			}
		}
	}
	return v
}

// variables are what conditions name: every field of the report, and the report
// itself, for has(report.stack).
func (v view) variables() map[string]any {
	list := map[string]any{reportVariable: map[string]any(v)}
	for name, word := range objects["Report"] {
		value, err := getField(map[string]any(v), name, word)
		if err != nil {
			value = types.WrapErr(err)
		}
		list[name] = value
	}
	return list
}

// reportVariable names the whole report in conditions.
const reportVariable = "report"
