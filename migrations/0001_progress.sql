-- Progress of read models, as a log that is folded into a table.
--
-- Every update appends rows to ctrack_advance. Now and then the rows up to some seq are folded into ctrack_latest, and
-- later deleted. The progress of a key is the highest operation_index among its row in ctrack_latest and its rows in
-- ctrack_advance behind ctrack_fold.folded_seq; the view ctrack_progress says so in SQL.
--
-- SQLite has one writer at a time, so the order of seq is the order of commits: the rows behind the last seq that a
-- tracker has seen are exactly what it has not seen yet. The newest row is never deleted, so that no seq occurs twice.

-- The CHECKs of our tables speak of one row each, so they tell of what its writer has done wrong: ctrack then says that the
-- fault is its own, and nothing is written. Ids and numbers of the log are above 0, which is what "none" is in C.

-- The few combinations of read model, scope and branch.
CREATE TABLE ctrack_keyspace (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    read_model TEXT NOT NULL,
    scope TEXT NOT NULL,
    branch TEXT NOT NULL,
    UNIQUE (read_model, scope, branch)
) STRICT;

-- The dictionary of keys. A key gets its row when it is folded for the first time.
CREATE TABLE ctrack_coordinate (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    keyspace_id INTEGER NOT NULL CHECK (keyspace_id > 0) REFERENCES ctrack_keyspace (id),
    document_id TEXT NOT NULL,
    UNIQUE (keyspace_id, document_id)
) STRICT;

-- What is folded: the progress of each key. updated_at is in milliseconds since 1970, UTC.
CREATE TABLE ctrack_latest (
    coordinate_id INTEGER PRIMARY KEY CHECK (coordinate_id > 0) REFERENCES ctrack_coordinate (id),
    operation_index INTEGER NOT NULL CHECK (operation_index >= 0),
    updated_at INTEGER NOT NULL
) STRICT;

-- The log. A row names its key by coordinate_id, or by keyspace and document while the dictionary lacks it.
-- operation_index NULL: the key is forgotten. document_id NULL as well: all progress of the keyspace's read model has
-- been replaced; read it anew. Such rows are folded already when they appear.
CREATE TABLE ctrack_advance (
    seq INTEGER PRIMARY KEY,
    coordinate_id INTEGER,
    operation_index INTEGER CHECK (operation_index >= 0),
    updated_at INTEGER NOT NULL,
    keyspace_id INTEGER,
    document_id TEXT,
    CHECK ((coordinate_id IS NULL) <> (keyspace_id IS NULL)),
    CHECK (coalesce(coordinate_id, keyspace_id) > 0),
    CHECK (document_id IS NULL OR keyspace_id IS NOT NULL),
    CHECK (operation_index IS NULL OR coordinate_id IS NOT NULL OR document_id IS NOT NULL)
) STRICT;

-- How far the log is folded, and the number that the places of keys in runs are made with. One row.
CREATE TABLE ctrack_fold (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    folded_seq INTEGER NOT NULL CHECK (folded_seq >= 0),
    hash_seed INTEGER NOT NULL
) STRICT;
INSERT INTO ctrack_fold (id, folded_seq, hash_seed) VALUES (1, 0, random());

-- Where to look for a key in the rows of the log from first_seq to last_seq: an index of them, made once and at once,
-- since keeping one row by row would double what an update costs. What no run has is read row by row; a run of which all
-- is folded is of no use. Its parts are those from first_part on.
CREATE TABLE ctrack_run (
    last_seq INTEGER PRIMARY KEY CHECK (last_seq >= first_seq),
    first_seq INTEGER NOT NULL CHECK (first_seq > 0),
    first_part INTEGER NOT NULL CHECK (first_part > 0),
    parts INTEGER NOT NULL CHECK (parts BETWEEN 1 AND 4294967295)
) STRICT;

-- A share of a run's entries, sorted: 4 bytes of the key's hash and 4 bytes of seq - first_seq, in little endian.
CREATE TABLE ctrack_run_part (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    entries BLOB NOT NULL CHECK (length(entries) % 8 = 0)
) STRICT;

-- What people and other programs read.
CREATE VIEW ctrack_progress (read_model, document_id, scope, branch, operation_index, updated_at) AS
SELECT k.read_model, p.document_id, k.scope, k.branch, max(p.operation_index),
       strftime('%Y-%m-%dT%H:%M:%fZ', p.updated_at / 1000.0, 'unixepoch')
FROM (SELECT c.keyspace_id, c.document_id, l.operation_index, l.updated_at
      FROM ctrack_latest AS l JOIN ctrack_coordinate AS c ON c.id = l.coordinate_id
      UNION ALL
      SELECT coalesce(a.keyspace_id, c.keyspace_id), coalesce(a.document_id, c.document_id), a.operation_index,
             a.updated_at
      FROM ctrack_advance AS a LEFT JOIN ctrack_coordinate AS c ON c.id = a.coordinate_id
      WHERE a.seq > (SELECT folded_seq FROM ctrack_fold)) AS p
JOIN ctrack_keyspace AS k ON k.id = p.keyspace_id
GROUP BY k.read_model, p.document_id, k.scope, k.branch;

-- Any SQLite client reports progress by inserting into the view, within a transaction of its own; the highest index
-- counts.
CREATE TRIGGER ctrack_progress_insert INSTEAD OF INSERT ON ctrack_progress
BEGIN
    SELECT raise(ABORT, 'ctrack_progress: read_model, document_id, scope and branch must be text without NUL, at most 65535 bytes each')
    WHERE typeof(new.read_model) <> 'text' OR typeof(new.document_id) <> 'text'
       OR typeof(new.scope) <> 'text' OR typeof(new.branch) <> 'text'
       OR max(length(CAST(new.read_model AS BLOB)), length(CAST(new.document_id AS BLOB)),
              length(CAST(new.scope AS BLOB)), length(CAST(new.branch AS BLOB))) > 65535
       OR instr(CAST(new.read_model AS BLOB), x'00') + instr(CAST(new.document_id AS BLOB), x'00')
        + instr(CAST(new.scope AS BLOB), x'00') + instr(CAST(new.branch AS BLOB), x'00') > 0;
    -- UTF-8 can be judged byte by byte: a byte of a character is preceded by its first byte, and followed by as many as
    -- that one announces. All four texts are one, in pieces that overlap by what a byte must know of its neighbours;
    -- so the time taken grows with the length. What is ASCII is let through by the first condition.
    SELECT raise(ABORT, 'ctrack_progress: read_model, document_id, scope and branch must be UTF-8')
    WHERE new.read_model || new.document_id || new.scope || new.branch GLOB '*[^' || char(1) || '-' || char(127) || ']*'
      AND EXISTS (
        WITH RECURSIVE
        piece (start, bytes) AS (
            SELECT 1, NULL
            UNION ALL
            SELECT start + 64, substr(CAST('   ' || new.read_model || ' ' || new.document_id || ' ' || new.scope || ' '
                                           || new.branch || '   ' AS BLOB), start, 70)
            FROM piece WHERE bytes IS NULL OR length(bytes) = 70),
        place (i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM place WHERE i < 67)
        SELECT 1 FROM piece CROSS JOIN place
        WHERE substr(bytes, i, 1) > x'7F' AND NOT CASE
            WHEN substr(bytes, i, 1) < x'C0' THEN substr(bytes, i - 1, 1) BETWEEN x'C2' AND x'F4'
                OR substr(bytes, i - 2, 1) BETWEEN x'E0' AND x'F4' OR substr(bytes, i - 3, 1) BETWEEN x'F0' AND x'F4'
            WHEN substr(bytes, i + 1, 1) NOT BETWEEN x'80' AND x'BF' THEN 0
            WHEN substr(bytes, i, 1) BETWEEN x'C2' AND x'DF' THEN 1
            WHEN substr(bytes, i + 2, 1) NOT BETWEEN x'80' AND x'BF' THEN 0
            WHEN substr(bytes, i, 2) BETWEEN x'E0A0' AND x'ED9F' OR substr(bytes, i, 2) BETWEEN x'EE80' AND x'EFBF'
            THEN 1
            WHEN substr(bytes, i + 3, 1) NOT BETWEEN x'80' AND x'BF' THEN 0
            ELSE substr(bytes, i, 2) BETWEEN x'F090' AND x'F48F'
        END);
    SELECT raise(ABORT, 'ctrack_progress: operation_index must be an integer from 0 to 9223372036854775807')
    WHERE typeof(new.operation_index) <> 'integer' OR new.operation_index < 0;
    -- Where the numbers are used up SQLite would take any, and the row would never be read.
    SELECT raise(ABORT, 'ctrack_progress: the log has no number behind its last: dump the progress and restore it into a new file')
    WHERE (SELECT coalesce(max(seq), 0) FROM ctrack_advance) = 9223372036854775807
       OR (SELECT coalesce(max(seq), 0) FROM ctrack_advance) < (SELECT folded_seq FROM ctrack_fold);
    INSERT INTO ctrack_keyspace (read_model, scope, branch)
    SELECT new.read_model, new.scope, new.branch
    WHERE NOT EXISTS (SELECT 1 FROM ctrack_keyspace AS k
                      WHERE k.read_model = new.read_model AND k.scope = new.scope AND k.branch = new.branch);
    INSERT INTO ctrack_advance (keyspace_id, document_id, operation_index, updated_at)
    SELECT k.id, new.document_id, new.operation_index,
           CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
    FROM ctrack_keyspace AS k
    WHERE k.read_model = new.read_model AND k.scope = new.scope AND k.branch = new.branch;
END;

-- Nobody else may be there to fold: while more than 8,192 rows are not, every 64th insertion folds the oldest 128, and
-- deletes up to 256 of those that were folded 65,536 rows ago. A key that the dictionary still lacks then is damage;
-- 'lost' is no id, where NULL would become one.
CREATE TRIGGER ctrack_progress_fold INSTEAD OF INSERT ON ctrack_progress
WHEN (SELECT max(seq) FROM ctrack_advance) % 64 = 0
 AND (SELECT max(seq) FROM ctrack_advance) - (SELECT folded_seq FROM ctrack_fold) > 8192
BEGIN
    INSERT INTO ctrack_coordinate (keyspace_id, document_id)
    SELECT DISTINCT a.keyspace_id, a.document_id
    FROM ctrack_fold AS f CROSS JOIN ctrack_advance AS a ON a.seq > f.folded_seq AND a.seq <= f.folded_seq + 128
    WHERE a.document_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM ctrack_coordinate AS c
                      WHERE c.keyspace_id = a.keyspace_id AND c.document_id = a.document_id);
    INSERT INTO ctrack_latest (coordinate_id, operation_index, updated_at)
    SELECT coalesce(a.coordinate_id, c.id, 'lost'), max(a.operation_index), a.updated_at
    FROM ctrack_fold AS f CROSS JOIN ctrack_advance AS a ON a.seq > f.folded_seq AND a.seq <= f.folded_seq + 128
    LEFT JOIN ctrack_coordinate AS c ON c.keyspace_id = a.keyspace_id AND c.document_id = a.document_id
    WHERE true
    GROUP BY 1
    ON CONFLICT (coordinate_id) DO UPDATE SET operation_index = excluded.operation_index, updated_at = excluded.updated_at
    WHERE excluded.operation_index > operation_index;
    UPDATE ctrack_fold SET folded_seq = folded_seq + 128;
    DELETE FROM ctrack_advance
    WHERE seq <= (SELECT min(f.folded_seq - 65536, (SELECT min(seq) FROM ctrack_advance) + 255) FROM ctrack_fold AS f);
END;
