-- What Great Expectations was asked, beside what it found: the board renders its Data Docs from the results, without a value of any row.
alter table ops.check_result add column expectation text;   -- class of the expectation; null: a reader's finding, a share, a look at history
alter table ops.check_result add column arguments jsonb;    -- what it was asked with: column, pattern, known words, condition
