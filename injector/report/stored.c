/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/report/stored.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/view/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_all(FILE *in, const char *name, char **out, size_t *out_size, struct error *err)
{
	size_t size = 0, capacity = 1 << 16, got;
	cleanup_free char *text = malloc(capacity);

	while (text && (got = fread(text + size, 1, capacity - size, in)) > 0) {
		char *grown;

		size += got;
		if (size > STORED_MAX)
			return error_set(err, EFBIG, "%s has more than %lu MiB: it is no result",
					 name, STORED_MAX >> 20);
		if (size < capacity)
			continue;
		grown = realloc(text, capacity * 2);
		if (!grown)
			return error_errno(err, ENOMEM, "cannot read %s", name);
		text = grown;
		capacity *= 2;
	}
	if (!text)
		return error_errno(err, ENOMEM, "cannot read %s", name);
	if (ferror(in))
		return error_errno(err, errno ? errno : EIO, "cannot read %s", name);
	*out = steal_pointer(&text);
	*out_size = size;
	return 0;
}

int stored_read(FILE *in, const char *name, json_t **out, struct error *err)
{
	cleanup_free char *text = NULL;
	json_error_t why;
	json_t *root;
	size_t size = 0;
	int64_t schema;
	int result = read_all(in, name, &text, &size, err);

	if (result < 0)
		return result;
	if (size == 0) {
		error_set(err, EINVAL,
			  "%s is empty: its run goes on, or its result could not be "
			  "written",
			  name);
		return -EINVAL;
	}
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return error_set(err, EINVAL, "%s:%d:%d: no result of squall: %s", name, why.line,
				 why.column, why.text);
	schema = stored_number(root, "schema_version");
	if (!json_is_object(root) || schema != STORED_SCHEMA || !*stored_text(root, "verdict")) {
		json_decref(root);
		if (schema > STORED_SCHEMA)
			return error_set(err, EINVAL,
					 "%s: schema_version %lld is not known; this is squall %s, "
					 "which reads %d",
					 name, (long long)schema, SQUALL_VERSION, STORED_SCHEMA);
		return error_set(err, EINVAL, "%s: no result of squall: it has no verdict", name);
	}
	*out = root;
	return 0;
}

const char *stored_text(const json_t *at, const char *key)
{
	const char *text = json_string_value(json_object_get(at, key));

	return text ? text : "";
}

int64_t stored_number(const json_t *at, const char *key)
{
	const json_t *value = json_object_get(at, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

bool stored_is(const json_t *at, const char *key)
{
	return json_is_true(json_object_get(at, key));
}

bool stored_has(const json_t *at, const char *key)
{
	const json_t *value = json_object_get(at, key);

	return value && !json_is_null(value);
}

bool stored_lasts(const json_t *step)
{
	return stored_is(step, "injected") && stored_has(step, "restored");
}

bool stored_is_unrestored(const json_t *step)
{
	return stored_lasts(step) && !stored_is(step, "restored");
}

void stored_evidence(const json_t *step, char *out, size_t size)
{
	const json_t *at = json_object_get(step, "evidence");
	int64_t hits = stored_number(at, "hits"), dropped = stored_number(at, "dropped");
	struct evidence evidence = {
		.hits = hits > 0 ? (uint64_t)hits : 0,
		.dropped = dropped > 0 ? (uint64_t)dropped : 0,
		.unit = stored_text(at, "unit"),
	};

	if (!json_is_object(at)) {
		snprintf(out, size, "no evidence of what it hit");
		return;
	}
	snprintf(evidence.detail, sizeof(evidence.detail), "%s", stored_text(at, "detail"));
	words_of_evidence(&evidence, out, size);
}

const char *stored_verdict(const json_t *root)
{
	const char *verdict = stored_text(root, "verdict");

	return strcmp(verdict, "held") == 0 && !json_array_size(json_object_get(root, "probes"))
		       ? "done"
		       : verdict;
}

bool stored_has_faults(const json_t *root)
{
	return stored_number(root, "faults_started_after_ns") >= 0;
}

int64_t stored_stop_latency(const json_t *root)
{
	return stored_has_faults(root) ? stored_number(json_object_get(root, "stop"), "latency_ns")
				       : -1;
}

bool stored_score(const json_t *root, char *out, size_t size)
{
	int64_t score = stored_number(root, "score");

	if (!json_array_size(json_object_get(root, "expectations")))
		return false;
	if (score >= 0)
		snprintf(out, size, "%lld of 100", (long long)score);
	else
		snprintf(out, size, "none: the run was stopped before its end");
	return score >= 0 || (stored_has(root, "stop") && stored_has_faults(root));
}

bool stored_replay(const json_t *root, char *out, size_t size)
{
	const char *source = stored_text(root, "source");
	int64_t scale = stored_number(root, "time_scale");
	char hour[QUANTITY_TEXT_SIZE];

	if (!*source && scale <= 1)
		return false;
	snprintf(out, size, "%s%.900s%s%s", *source ? "as told in " : "", source,
		 scale <= 1 ? ""
		 : *source  ? ", an hour of it in "
			    : "an hour of the file in ",
		 scale <= 1 ? "" : quantity_format_latency(3600 * NSEC_PER_SEC / scale, hour));
	return true;
}

bool stored_is_restored(const json_t *root)
{
	const json_t *step;
	size_t i;

	json_array_foreach (json_object_get(root, "steps"), i, step)
		if (stored_is_unrestored(step))
			return false;
	return !json_array_size(json_object_get(root, "left")) &&
	       stored_number(root, "left_lost") <= 0;
}
