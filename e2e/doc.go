// Package e2e holds tests of the whole: the API over HTTP, workers, a real Temporal server, a real database, real git
// repositories and real processes, and what becomes of all of that when a part of it is killed. It has tests only.
//
// Most tests run the API and a worker inside the test process, on a database of their own and in a Temporal namespace of
// their own. Those that kill something build the slipway command once and run it as processes.
package e2e
