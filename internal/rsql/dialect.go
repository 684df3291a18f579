package rsql

// Dialect is the SQL of one database.
type Dialect int

const (
	// PostgreSQL in version 12 or later, with the database encoding UTF8.
	PostgreSQL Dialect = iota + 1
	// SQLite in version 3.38 or later: JSON functions are built in from there.
	SQLite
)

func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return "unknown dialect"
}

// writer makes the parts of a condition whose SQL differs between the databases.
type writer interface {
	// fold lower-cases A to Z.
	fold(text expression) expression
	// like tests folded text, without deciding what NULL means.
	like(folded expression, pattern string) expression
	// timestamp, integer and id bind a value with its type, so that the database does not guess it.
	timestamp(value any) expression
	integer(value any) expression
	id(value any) expression
	// elements gives what follows FROM for the texts of an array, ending in a condition, and the name of the element.
	elements(source Source) (from, element string)
	// filled tests whether an array has any text, or gives false if there is no test but to look for one.
	filled(source Source) (expression, bool)
	// mayMatch tests whether a text of an array, or of an object under a key, could match a pattern, without looking at each, or
	// gives false if the source has no such test. It may be NULL where the source is.
	mayMatch(source Source, key, pattern string) (expression, bool)
	// contains tests whether an array holds one of the texts without looking at each element, or gives false if the
	// source has no such test. It may be NULL where the array is.
	contains(source Source, texts []any) (expression, bool)
	// member is the text of an object under a key, or NULL.
	member(source JSONObject, key string) expression
	// filledMember tests whether an object has any text but "" under a key, or gives false if there is no test but to look at
	// it. It is never NULL.
	filledMember(source JSONObject, key string) (expression, bool)
	// hasMember tests whether an object holds one of the texts under a key, or gives false if there is no such test. It
	// may be NULL where the object is.
	hasMember(source JSONObject, key string, texts []any) (expression, bool)
	// emptyObject tests whether an object is NULL, JSON null or has no keys.
	emptyObject(source JSONObject) expression
}

func (d Dialect) writer() writer {
	switch d {
	case PostgreSQL:
		return postgresWriter{}
	case SQLite:
		return sqliteWriter{}
	}
	return nil
}
