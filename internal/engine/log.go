package engine

import "maps"

// Levels of log entries.
const (
	LevelDebug   = "debug"
	LevelInfo    = "info"
	LevelSuccess = "success"
	LevelWarn    = "warn"
	LevelError   = "error"
)

// Entry is a line of the log of a run. Its fields are those of the client's JSON log lines; the time is the logger's.
type Entry struct {
	Level    string
	Key      string // such as "build.step"
	Message  string
	Values   map[string]string
	Sections []string // the sections that the line is in, outermost first
	// SectionChanged marks the first line of a section and its last one; Indent the first, Unindent the last.
	SectionChanged, Indent, Unindent bool
}

// Logger takes the log of a run. What scripts print does not pass here but goes to the ScriptRunner.
type Logger interface{ Log(Entry) }

func (r *run) log(level, key, message string, values map[string]string) {
	if r.Log == nil {
		return
	}
	r.Log.Log(Entry{Level: level, Key: key, Message: message, Values: maps.Clone(values), Sections: append([]string{}, r.sections...)})
}

// section opens a section of the log. The returned function closes it, with an error or none.
func (r *run) section(name, key, message string, values map[string]string) func(error) {
	r.sections = append(r.sections, name)
	if r.Log != nil {
		r.Log.Log(Entry{Level: LevelInfo, Key: key, Message: message, Values: maps.Clone(values),
			Sections: append([]string{}, r.sections...), SectionChanged: true, Indent: true})
	}
	return func(err error) {
		if r.Log != nil {
			entry := Entry{Level: LevelSuccess, Key: key + ".finished", Message: name + " finished.", Values: maps.Clone(values),
				Sections: append([]string{}, r.sections...), SectionChanged: true, Unindent: true}
			if err != nil {
				entry.Level, entry.Key, entry.Message = LevelError, key+".failed", name+" failed."
				// What went wrong is said once, in the innermost section: those around it end with the same error.
				if text := asFailure(err).Message; text != r.told {
					entry.Message, r.told = text, text
				}
			}
			r.Log.Log(entry)
		}
		r.sections = r.sections[:len(r.sections)-1]
	}
}
