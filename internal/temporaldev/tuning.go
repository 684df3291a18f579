package temporaldev

// tuning holds the dynamic configuration that makes a server with one history shard and one SQLite file quick.
// Names and defaults are those of go.temporal.io/server/common/dynamicconfig.
var tuning = []string{
	// A shard's queues are polled at most 20 times a second by default. With a single shard every task of every
	// workflow goes through one queue, so each waits about 50 ms for its turn.
	"history.transferProcessorMaxPollRPS=2000",
	"history.timerProcessorMaxPollRPS=2000",
	"history.visibilityProcessorMaxPollRPS=2000",
	// Four partitions for each task queue help a cluster. Here they only make tasks and pollers miss each other.
	"matching.numTaskqueueReadPartitions=1",
	"matching.numTaskqueueWritePartitions=1",
	// Off by default: an activity scheduled for a worker in the same process is handed over with the answer to the
	// workflow task, which saves a trip through matching.
	"system.enableActivityEagerExecution=true",
	// Limits that protect a shared cluster from a tenant. A burst of triggers must wait for the CPU, not for these.
	"frontend.rps=20000",
	"frontend.namespaceRPS=20000",
	"frontend.namespaceRPS.visibility=500",
	"frontend.namespaceCount=5000",
	"matching.rps=20000",
	"history.rps=30000",
	"matching.persistenceMaxQPS=30000",
	"frontend.persistenceMaxQPS=30000",
	"history.persistenceMaxQPS=45000",
}

// SearchAttributes are the custom search attributes, all of type Keyword, by which workflows are found in the Web UI.
var SearchAttributes = []string{
	"SlipwayProject",
	"SlipwayEnvironment",
	"SlipwayKind",
	"SlipwaySubject",
	"SlipwayStatus",
}
