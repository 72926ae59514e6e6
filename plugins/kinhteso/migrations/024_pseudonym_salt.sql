-- What the pseudonyms of households and accounts are keyed with, so that whoever has a register cannot compute them. Made of the secret that keys phones
-- (one way), by the first load; kept from then on, so that keys stay the same when that secret is changed. Nobody but the pipeline reads it.
create table ops.pseudonym_salt (
  is_only boolean primary key default true check (is_only),
  salt    text not null check (length(salt) = 64)
);
comment on table ops.pseudonym_salt is 'Khóa để tạo mã ẩn danh của hộ và tài khoản · what pseudonyms of households and accounts are keyed with';
