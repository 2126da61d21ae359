"""ISO 8601 on every page: a neurologist in Prague and one in Boston read the same day.

Django's own formats of a language come before the settings' DATE_FORMAT; this module comes
before Django's.
"""

DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i"
TIME_FORMAT = "H:i"
DATE_INPUT_FORMATS = ["%Y-%m-%d", "%d.%m.%Y"]
DECIMAL_SEPARATOR = "."
