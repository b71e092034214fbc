/* SPDX-License-Identifier: GPL-2.0-or-later */
#define SQUALL_ERROR_ITSELF
#include "injector/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set_text(struct error *err, int code, const char *format, va_list args)
{
	err->code = code > 0 ? code : EIO;
	err->remedy[0] = '\0';
	vsnprintf(err->text, sizeof(err->text), format, args);
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list args;

	if (err) {
		va_start(args, format);
		set_text(err, code, format, args);
		va_end(args);
	}
	return code > 0 ? -code : -EIO;
}

int error_errno(struct error *err, int code, const char *format, ...)
{
	va_list args;
	size_t used;

	if (err) {
		va_start(args, format);
		set_text(err, code, format, args);
		va_end(args);
		used = strlen(err->text);
		snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(err->code));
	}
	return code > 0 ? -code : -EIO;
}

int error_prefix(struct error *err, const char *format, ...)
{
	char old[sizeof(err->text)];
	va_list args;
	size_t used;

	if (!err)
		return -EIO;
	memcpy(old, err->text, sizeof(old));
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	used = strlen(err->text);
	/* Truncation loses the tail of the innermost reason, never the object's name. */
	snprintf(err->text + used, sizeof(err->text) - used, ": %.*s",
		 (int)(sizeof(err->text) - used), old);
	return err->code ? -err->code : -EIO;
}

int error_remedy(struct error *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return -EIO;
	va_start(args, format);
	vsnprintf(err->remedy, sizeof(err->remedy), format, args);
	va_end(args);
	return err->code ? -err->code : -EIO;
}
