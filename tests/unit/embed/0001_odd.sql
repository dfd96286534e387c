-- What SQL text may hold, and a generator must not trip over: the embed test compares it byte for byte.
CREATE TABLE "odd; [name]" (text TEXT DEFAULT 'it''s a \ backslash; ${not} @expanded@ $<neither>', `tick` BLOB);
INSERT INTO "odd; [name]" VALUES ('	"quoted" \n %d ??/ /* no comment */ ü € 𝄞', x'00ff'); -- ends in a backslash \
SELECT '[' || ']' || '[[ ;; ]]' || '#' || ')' || '(';
