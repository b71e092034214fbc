/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer over the experiment file: no crash, no leak, and the answer is a whole experiment or at
 * least one problem with its position inside the file. What is accepted can be described and freed.
 */
#include "tests/fuzz/fuzz_input.h"

#include "injector/experiment/yaml.h"

#include <stdlib.h>
#include <string.h>

static void check_experiment(struct experiment *experiment)
{
	char text[64];

	require(experiment->title && experiment->step_count > 0);
	require(experiment->limits.duration_ns > 0 && experiment->limits.targets > 0);
	for (unsigned i = 0; i < experiment->step_count; i++) {
		const struct experiment_step *step = &experiment->steps[i];

		require(step->target < experiment->target_count);
		require(experiment->targets[step->target].kind == step->ops->target_kind);
		require(step->at_ns + step->for_ns <= experiment->limits.duration_ns);
		require(i == 0 || experiment->steps[i - 1].at_ns <= step->at_ns);
		experiment_describe_step(experiment, i, text, sizeof(text));
		require(strlen(text) < sizeof(text));
	}
	for (unsigned i = 0; i < experiment->abort_count; i++)
		require(experiment->aborts[i].probe < experiment->probe_count &&
			!experiment->aborts[i].fails == !!experiment->aborts[i].share_ppb);
	for (unsigned i = 0; i < experiment->probe_count; i++) {
		const struct probe_spec *probe = &experiment->probes[i];

		require(probe->ops && probe->subject_count && probe->every_ns > 0);
		require(!probe->subject[probe->subject_count]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;

	if (yaml_parse_experiment((const char *)data, size, "fuzz", &experiment, &problems, &err) ==
	    0) {
		require(!problems.count);
		check_experiment(experiment);
		experiment_free(experiment);
		free(experiment);
	} else {
		require(problems.count > 0 && err.code && !experiment);
		for (unsigned i = 0; i < problems.count; i++)
			require(problems.list[i].text[0] && problems.list[i].line >= 0 &&
				(size_t)problems.list[i].line <= size + 1);
	}
	yaml_problems_free(&problems);
	return 0;
}
