/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/base/json.h"

#include "injector/base/cleanup.h"
#include "injector/base/printable.h"

#include <errno.h>

json_t *json_text(const char *text)
{
	cleanup_free char *valid = NULL;

	if (!text || !*text)
		return json_null();
	valid = printable_valid_utf8(text);
	return valid ? json_string(valid) : NULL;
}

json_t *json_count_or_null(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

int json_print(json_t *root, FILE *out, bool indented, struct error *err)
{
	size_t flags = JSON_ENSURE_ASCII | (indented ? JSON_INDENT(2) : JSON_COMPACT);
	cleanup_free char *text = root ? json_dumps(root, flags) : NULL;

	json_decref(root);
	if (!text)
		return error_errno(err, ENOMEM, "cannot write JSON");
	errno = 0;
	if (fprintf(out, "%s\n", text) < 0 || fflush(out) != 0)
		return error_errno(err, errno ? errno : EIO, "cannot write JSON");
	return 0;
}
