"""Operations on the units of model servers."""
