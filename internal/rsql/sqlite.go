package rsql

type sqliteWriter struct{}

// fold changes A to Z only: SQLite is built without ICU.
func (sqliteWriter) fold(text expression) expression { return concat(raw("lower("), text, raw(")")) }

// like names the escape character, since SQLite has none by default.
func (sqliteWriter) like(folded expression, pattern string) expression {
	return concat(folded, raw(" LIKE "), bound(pattern), raw(` ESCAPE '\'`))
}

func (sqliteWriter) timestamp(value any) expression { return bound(value) }
func (sqliteWriter) integer(value any) expression   { return bound(value) }
func (sqliteWriter) id(value any) expression        { return bound(value) }

// elements takes texts only: json_each gives one row, NULL, for JSON null.
func (sqliteWriter) elements(source Source) (from, element string) {
	switch source := source.(type) {
	case JSONArray:
		return "json_each(" + source.Expr + ") AS element WHERE element.type = 'text'", "element.value"
	case ChildRows:
		return source.From, source.Value
	}
	return "", ""
}

func (sqliteWriter) contains(Source, []any) (expression, bool) { return expression{}, false }

// member compares the key as a parameter. The operators -> and ->> would read it as a path, in which quotes, brackets
// and dots have a meaning.
func (sqliteWriter) member(source JSONObject, key string) expression {
	return concat(raw("(SELECT member.value FROM json_each("+source.Expr+
		") AS member WHERE member.type = 'text' AND member.key = "), bound(key), raw(" LIMIT 1)"))
}

func (sqliteWriter) hasMember(JSONObject, string, []any) (expression, bool) {
	return expression{}, false
}

func (sqliteWriter) emptyObject(source JSONObject) expression {
	return raw("NOT EXISTS (SELECT 1 FROM json_each(" + source.Expr + ") AS member WHERE member.key IS NOT NULL)")
}
